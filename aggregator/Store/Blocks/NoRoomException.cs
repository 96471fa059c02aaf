namespace Bellwether.Store.Blocks;

/// <summary>A file that would take more bytes than the disk has to spare; nothing of it is left.</summary>
internal sealed class NoRoomException(string message) : IOException(message);
