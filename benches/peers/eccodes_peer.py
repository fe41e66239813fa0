"""ecCodes through its own Python package: keys, values, and messages in other packings."""

import time

import peer

try:
    import eccodes
    import gribapi
    from gribapi.bindings import ffi, lib
except Exception as error:
    peer.stop(f"{type(error).__name__}: {error}")

KEYS = "shortName paramId typeOfLevel level dataDate dataTime stepRange number gridType".split()


def read(file, offset, length):
    with open(file, "rb") as source:
        source.seek(offset)
        return source.read(length)


def walk(file, messages, repeat):
    """Handles of the first `messages` messages of a file in memory, and the keys that say what each field is."""
    parts = []
    with open(file, "rb") as source:
        while len(parts) < messages and (handle := eccodes.codes_grib_new_from_file(source)):
            parts.append(eccodes.codes_get_message(handle))
            eccodes.codes_release(handle)

    def once():
        for part in parts:
            handle = eccodes.codes_new_from_message(part)
            for key in KEYS:
                try:
                    eccodes.codes_get(handle, key)
                except eccodes.KeyValueNotFoundError:
                    pass
            eccodes.codes_release(handle)

    return {"seconds": peer.least_seconds(repeat, once), "messages": len(parts)}


class Decoder:
    """Values of an open handle into one buffer, as float32 and as float64, straight through the C interface."""

    def __init__(self, message):
        self.handle = eccodes.codes_new_from_message(message)
        self.size = eccodes.codes_get_size(self.handle, "values")
        self.pointer = gribapi.get_handle(self.handle)
        self.ways = [
            (lib.grib_get_float_array, ffi.new("float[]", self.size)),
            (lib.grib_get_double_array, ffi.new("double[]", self.size)),
        ]

    def best(self, repeat):
        # JPEG 2000 has no float32 way.
        ways = [way for way in self.ways if self.get(*way) == 0]
        if not ways:
            raise RuntimeError("ecCodes cannot decode it")
        return min(peer.least_seconds(repeat, lambda: self.get(*way)) for way in ways)

    def get(self, function, buffer):
        return function(self.pointer, b"values", buffer, ffi.new("size_t*", self.size))

    def close(self):
        eccodes.codes_release(self.handle)


def decode(file, offset, length, repeat):
    """The values of one message: the faster of float32 and float64, from an open handle."""
    decoder = Decoder(read(file, offset, length))
    try:
        return {"seconds": decoder.best(repeat), "values": decoder.size}
    finally:
        decoder.close()


def decode_all(messages):
    """The values of many messages `[file, offset, length]` from files: open, decode as float32, close."""
    start = time.perf_counter()
    size = 0
    buffer = None
    for file, offset, length in messages:
        handle = eccodes.codes_new_from_message(read(file, offset, length))
        size = eccodes.codes_get_size(handle, "values")
        if buffer is None or len(buffer) < size:
            buffer = ffi.new("float[]", size)
        count = ffi.new("size_t*", size)
        code = lib.grib_get_float_array(gribapi.get_handle(handle), b"values", buffer, count)
        eccodes.codes_release(handle)
        if code:
            raise RuntimeError(f"ecCodes error {code}")
    return {"seconds": time.perf_counter() - start, "values": size}


if __name__ == "__main__":
    versions = f"ecCodes {eccodes.codes_get_api_version()}"
    peer.serve(versions, {"walk": walk, "decode": decode, "decode_all": decode_all})
