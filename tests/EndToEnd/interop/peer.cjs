// The peer of the gRPC interop tests in JavaScript (@grpc/grpc-js).
// peer.cjs server [CERT KEY]       prints 'listening PORT', serves until stdin ends
// peer.cjs client HOST:PORT [CA]   runs every scenario against a server; prints 'ok NAME' or 'FAILED NAME: why' each
const assert = require('node:assert');
const fs = require('node:fs');
const grpc = require('@grpc/grpc-js');

const details = Buffer.from([8, 3, 18, 3, 0xff, 0, 0x7f]);
const large = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 31) % 256));
const text = '100 % voll: schöne Grüße\n';

// google.protobuf.BytesValue by hand: field 1, length-delimited.
function encode(value) {
  if (value.length === 0) return Buffer.alloc(0);
  const head = [10];
  let n = value.length;
  while (n > 127) {
    head.push((n & 127) | 128);
    n >>>= 7;
  }
  head.push(n);
  return Buffer.concat([Buffer.from(head), value]);
}

function decode(bytes) {
  if (bytes.length === 0) return Buffer.alloc(0);
  let at = 1;
  let n = 0;
  for (let shift = 0; ; shift += 7) {
    const b = bytes[at++];
    n |= (b & 127) << shift;
    if (b < 128) break;
  }
  return bytes.subarray(at, at + n);
}

function definition(name, streams) {
  return {
    path: `/bellwether.test.Echo/${name}`, requestStream: streams, responseStream: streams,
    requestSerialize: encode, requestDeserialize: decode, responseSerialize: encode, responseDeserialize: decode,
  };
}

const service = {
  Unary: definition('Unary', false), Fail: definition('Fail', false), Metadata: definition('Metadata', false),
  Bidi: definition('Bidi', true), Hang: definition('Hang', true), FailMidStream: definition('FailMidStream', true), AnswerFirst: definition('AnswerFirst', true),
};

function serve(cert, key) {
  const server = new grpc.Server();
  server.addService(service, {
    Unary: (call, answer) => answer(null, call.request),
    Fail: (call, answer) => {
      const said = call.request.toString();
      const metadata = new grpc.Metadata();
      metadata.set('grpc-status-details-bin', details);
      answer({ code: Number(said.split(' ', 1)[0]), details: said.slice(said.indexOf(' ') + 1), metadata });
    },
    Metadata: (call, answer) => {
      const [words] = call.metadata.get('x-text');
      const [bytes] = call.metadata.get('x-bytes-bin');
      const trailer = new grpc.Metadata();
      trailer.set('x-text', words);
      trailer.set('x-bytes-bin', bytes);
      answer(null, Buffer.from(`${words}/${bytes.toString('hex').toUpperCase()}`), trailer);
    },
    Bidi: (call) => {
      call.on('data', (message) => call.write(message));
      call.on('end', () => call.end());
    },
    Hang: (call) => call.resume(),
    FailMidStream: (call) => {
      call.write(Buffer.from('one'));
      call.write(Buffer.from('two'));
      call.emit('error', { code: grpc.status.DATA_LOSS, details: 'lost' });
    },
    AnswerFirst: (call) => call.emit('error', { code: grpc.status.FAILED_PRECONDITION, details: 'not now' }),
  });
  const credentials = cert
    ? grpc.ServerCredentials.createSsl(null, [{ cert_chain: fs.readFileSync(cert), private_key: fs.readFileSync(key) }])
    : grpc.ServerCredentials.createInsecure();
  server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
    if (error) throw error;
    console.log('listening', port);
  });
  process.stdin.on('end', () => process.exit(0)).resume();
}

async function run(address, ca) {
  const credentials = ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) : grpc.credentials.createInsecure();
  const client = new grpc.Client(address, credentials);
  const soon = () => ({ deadline: Date.now() + 120_000 });
  const unary = (name, request, metadata = new grpc.Metadata(), options = soon()) =>
    new Promise((resolve) => {
      let trailer;
      const call = client.makeUnaryRequest(`/bellwether.test.Echo/${name}`, encode, decode, request, metadata, options, (error, response) => setImmediate(() => resolve({ error, response, trailer })));
      call.on('status', (status) => (trailer = status.metadata));
    });
  const bidi = (name, options = soon()) => {
    const call = client.makeBidiStreamRequest(`/bellwether.test.Echo/${name}`, encode, decode, new grpc.Metadata(), options);
    const got = [];
    const ended = new Promise((resolve) => {
      call.on('data', (message) => got.push(message));
      call.on('error', () => undefined);
      call.on('status', (status) => resolve({ status, got }));
    });
    return { call, ended };
  };
  const scenarios = {
    unary: async () => assert.deepEqual((await unary('Unary', Buffer.from('abc'))).response, Buffer.from('abc')),
    large: async () => assert.ok(large.equals((await unary('Unary', large)).response)),
    bidi: async () => {
      const { call, ended } = bidi('Bidi');
      for (let i = 0; i < 100; i++) call.write(Buffer.alloc(i * 100, i));
      call.end();
      const { status, got } = await ended;
      assert.equal(status.code, 0);
      assert.ok(got.length === 100 && got.every((g, i) => g.equals(Buffer.alloc(i * 100, i))));
    },
    error_with_details: async () => {
      const { error } = await unary('Fail', Buffer.from('8 ' + text));
      assert.equal(error.code, grpc.status.RESOURCE_EXHAUSTED);
      assert.equal(error.details, text);
      assert.deepEqual(error.metadata.get('grpc-status-details-bin')[0], details);
    },
    deadline: async () => assert.equal((await bidi('Hang', { deadline: Date.now() + 200 }).ended).status.code, grpc.status.DEADLINE_EXCEEDED),
    cancel: async () => {
      for (let i = 0; i < 20; i++) {
        const { call, ended } = bidi('Hang');
        setTimeout(() => call.cancel(), 20);
        assert.equal((await ended).status.code, grpc.status.CANCELLED);
      }
    },
    unknown_method: async () => assert.equal((await unary('Nothing', Buffer.alloc(0))).error.code, grpc.status.UNIMPLEMENTED),
    fail_mid_stream: async () => {
      const { call, ended } = bidi('FailMidStream');
      call.end();
      const { status, got } = await ended;
      assert.deepEqual(got.map(String), ['one', 'two']);
      assert.equal(status.code, grpc.status.DATA_LOSS);
      assert.equal(status.details, 'lost');
    },
    answer_first: async () => {
      for (let i = 0; i < 30; i++) {
        const { call, ended } = bidi('AnswerFirst');
        for (let j = 0; j < 20; j++) call.write(large.subarray(0, 40_000));
        assert.equal((await ended).status.code, grpc.status.FAILED_PRECONDITION);
      }
    },
    metadata: async () => {
      const sent = new grpc.Metadata();
      sent.set('x-text', 'some text');
      sent.set('x-bytes-bin', Buffer.from([0, 255, 1, 2]));
      const { response, trailer } = await unary('Metadata', Buffer.alloc(0), sent);
      assert.equal(String(response), 'some text/00FF0102');
      assert.deepEqual(trailer.get('x-bytes-bin')[0], Buffer.from([0, 255, 1, 2]));
    },
    compression_is_refused: async () => {
      const gzip = new grpc.Client(address, credentials, { 'grpc.default_compression_algorithm': 2 });
      const error = await new Promise((resolve) =>
        gzip.makeUnaryRequest('/bellwether.test.Echo/Unary', encode, decode, Buffer.alloc(10_000, 97), soon(), (e) => resolve(e)));
      assert.equal(error?.code, grpc.status.UNIMPLEMENTED);
      gzip.close();
    },
  };
  for (const [name, scenario] of Object.entries(scenarios)) {
    try {
      await scenario();
      console.log('ok', name);
    } catch (error) {
      console.log(`FAILED ${name}: ${String(error.message ?? error).replaceAll('\n', ' ')}`);
    }
  }
  client.close();
}

if (process.argv[2] === 'server') serve(process.argv[3], process.argv[4]);
else run(process.argv[3], process.argv[4]);
