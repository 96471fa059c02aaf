import { useEffect, useState } from "react";

export interface Polled<T> {
  data: T | undefined;
  error: string | undefined;
}

/** Asks again and again, one request at a time; keeps the last good answer beside an error. */
export function usePoll<T>(ask: (signal: AbortSignal) => Promise<T>, everyMs: number, key = ""): Polled<T> {
  const [state, setState] = useState<Polled<T>>({ data: undefined, error: undefined });
  useEffect(() => {
    const abort = new AbortController();
    let timer: number | undefined;
    const turn = async () => {
      try {
        const data = await ask(abort.signal);
        setState({ data, error: undefined });
      } catch (e) {
        if (abort.signal.aborted) return;
        const error = e instanceof Error ? e.message : String(e);
        setState((last) => ({ data: last.data, error }));
      }
      if (!abort.signal.aborted) timer = window.setTimeout(turn, everyMs);
    };
    void turn();
    return () => {
      abort.abort();
      window.clearTimeout(timer);
    };
    // `key` stands for everything that `ask` closes over.
  }, [everyMs, key]);
  return state;
}
