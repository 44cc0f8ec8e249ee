"""Messages between two processes over a socket: any picklable value, with its open files.

A message is the length of its pickle, the number of its files, the files, and the pickle. A file is
passed as a descriptor: both processes then read the same file, whatever its name, or without one.
They share its position, so it must be read by offset (`os.pread`).
"""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Any

_HEADER = struct.Struct("!QH")
MOST_FILES = 64


@dataclass(frozen=True)
class Message:
    """A received message, not unpickled yet."""

    pickled: bytearray
    files: tuple[int, ...] = ()

    @property
    def content(self) -> Any:  # noqa: ANN401 – whatever was sent
        """The value; can be taken once, as it owns the files."""
        return _Unpickler(io.BytesIO(self.pickled), self.files).load()


class Channel:
    """One end of the connection of two processes that trust each other."""

    def __init__(self, end: socket.socket) -> None:
        """Takes over a connected Unix socket."""
        self._socket = end

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes the connection: the other end meets an `EOFError`."""
        self._socket.close()

    def send(self, value: Any) -> None:  # noqa: ANN401 – any picklable value
        """Sends a value without open files; waits until the other end has read most of it.

        Raises:
            OSError: The other process is gone.
        """
        pickled = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        self._socket.sendall(_HEADER.pack(len(pickled), 0))
        self._socket.sendall(pickled)

    def send_with_files(self, value: Any) -> None:  # noqa: ANN401 – any picklable value
        """Sends a value that holds open files, each as a readable file of the other process.

        Raises:
            OSError: The other process is gone.
        """
        buffer = io.BytesIO()
        pickler = _Pickler(buffer)
        pickler.dump(value)
        self._socket.sendall(_HEADER.pack(buffer.tell(), len(pickler.files)))
        if pickler.files:
            socket.send_fds(self._socket, [b"\0"], pickler.files)
        self._socket.sendall(buffer.getbuffer())

    def receive(self) -> Message:
        """Waits for a message.

        Raises:
            EOFError: The other end is closed, or its process has ended.
        """
        length, count = _HEADER.unpack(self._read(_HEADER.size))
        files: tuple[int, ...] = ()
        if count:
            _, received, _, _ = socket.recv_fds(self._socket, 1, MOST_FILES)
            files = tuple(received)
        return Message(self._read(length), files)

    def _read(self, length: int) -> bytearray:
        data = bytearray(length)
        rest = memoryview(data)
        while rest:
            try:
                count = self._socket.recv_into(rest)
            except ConnectionError as error:
                raise EOFError from error
            if not count:
                raise EOFError
            rest = rest[count:]
        return data


class _Pickler(pickle.Pickler):
    """Takes out the open files, and notes their descriptors."""

    def __init__(self, buffer: io.BytesIO) -> None:
        super().__init__(buffer, pickle.HIGHEST_PROTOCOL)
        self.files: list[int] = []

    def persistent_id(self, value: Any) -> int | None:  # noqa: ANN401 – any value
        if not isinstance(value, io.BufferedIOBase):
            return None
        if (descriptor := value.fileno()) not in self.files:
            self.files.append(descriptor)
        return self.files.index(descriptor)


class _Unpickler(pickle.Unpickler):
    """Opens the received descriptors in place of the files."""

    def __init__(self, buffer: io.BytesIO, files: tuple[int, ...]) -> None:
        super().__init__(buffer)
        self._files = [os.fdopen(descriptor, "rb") for descriptor in files]

    def persistent_load(self, number: int) -> io.BufferedReader:
        return self._files[number]
