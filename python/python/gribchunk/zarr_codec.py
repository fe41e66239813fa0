"""The array-to-bytes codec ``gribchunk`` for zarr-python: plain icechunk-python reads our repositories with it.

The payload says what it is: a GRIB message is decoded, anything else passes through the inner chain (``bytes`` and
``zstd`` by default). Writing always uses the inner chain.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.common import JSON, parse_named_configuration

from gribchunk import _gribchunk

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer


@dataclasses.dataclass(frozen=True)
class GribchunkCodec(ArrayBytesCodec):
    """Decodes GRIB messages and materialised chunks; encodes materialised chunks."""

    is_fixed_size = False

    configuration: str
    """The configuration of the codec as JSON: parameter, typeOfLevel, grid, codecs."""

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> Self:
        _, configuration = parse_named_configuration(data, "gribchunk", require_configuration=False)
        return cls(json.dumps(configuration or {}, sort_keys=True))

    def to_dict(self) -> dict[str, JSON]:
        return {"name": "gribchunk", "configuration": json.loads(self.configuration)}

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        codec = _codec(self.configuration, chunk_spec.shape, _data_type(chunk_spec))
        data_type = chunk_spec.dtype.to_native_dtype()
        values = np.frombuffer(codec.decode(chunk_bytes.to_bytes()), dtype=data_type.newbyteorder("<"))
        if sys.byteorder != "little":
            values = values.astype(data_type)
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(values.reshape(chunk_spec.shape))

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return self._decode_sync(chunk_bytes, chunk_spec)

    def _encode_sync(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        codec = _codec(self.configuration, chunk_spec.shape, _data_type(chunk_spec))
        values = np.ascontiguousarray(chunk_array.as_numpy_array())
        values = values.astype(values.dtype.newbyteorder("<"), copy=False)
        return chunk_spec.prototype.buffer.from_bytes(codec.encode(values.tobytes()))

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        return self._encode_sync(chunk_array, chunk_spec)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError("a GRIB message has any size")


def _data_type(chunk_spec: ArraySpec) -> str:
    return str(chunk_spec.dtype.to_native_dtype().name)


@functools.lru_cache(maxsize=256)
def _codec(configuration: str, shape: tuple[int, ...], data_type: str) -> _gribchunk.FieldCodec:
    metadata: dict[str, Any] = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "NaN",
        "codecs": [{"name": "gribchunk", "configuration": json.loads(configuration)}],
    }
    return _gribchunk.FieldCodec(json.dumps(metadata))
