"""What `xla_interface.hpp` writes down about XLA's structures, against the header that jaxlib ships."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2] / "steelyard" / "kernels" / "xla_interface.hpp"

# ours, XLA's, and members under both names
STRUCTURES = {
    "Extension": ("XLA_FFI_Extension_Base", "size:struct_size type next"),
    "Version": ("XLA_FFI_Api_Version", "size:struct_size extension:extension_start major:major_version "
                "minor:minor_version"),
    "Metadata": ("XLA_FFI_Metadata", "size:struct_size version:api_version traits"),
    "MetadataExtension": ("XLA_FFI_Metadata_Extension", "base:extension_base metadata"),
    "ErrorArguments": ("XLA_FFI_Error_Create_Args", "size:struct_size extension:extension_start message code:errc"),
    "Api": ("XLA_FFI_Api", "size:struct_size version:api_version internal:internal_api "
            "create_error:XLA_FFI_Error_Create"),
    "Buffer": ("XLA_FFI_Buffer", "size:struct_size type:dtype data rank dims"),
    "Span": ("XLA_FFI_ByteSpan", "begin:ptr size:len"),
    "Scalar": ("XLA_FFI_Scalar", "type:dtype value"),
    "Attributes": ("XLA_FFI_Attrs", "size:struct_size count:size kinds:types names each:attrs"),
    "Frame": ("XLA_FFI_CallFrame", "size:struct_size extension:extension_start api context:ctx stage arguments:args "
              "results:rets attributes:attrs"),
}  # fmt: skip
BOTH = {"XLA_FFI_Args": "args", "XLA_FFI_Rets": "rets"}  # of "Buffers"
VALUES = {
    "MAJOR": "XLA_FFI_API_MAJOR", "INT32": "XLA_FFI_DataType_S32", "INT64": "XLA_FFI_DataType_S64",
    "FLOAT16": "XLA_FFI_DataType_F16", "FLOAT32": "XLA_FFI_DataType_F32", "FLOAT64": "XLA_FFI_DataType_F64",
    "BFLOAT16": "XLA_FFI_DataType_BF16", "EXECUTE": "XLA_FFI_ExecutionStage_EXECUTE",
    "INVALID_ARGUMENT": "XLA_FFI_Error_Code_INVALID_ARGUMENT",
    "RESOURCE_EXHAUSTED": "XLA_FFI_Error_Code_RESOURCE_EXHAUSTED", "SCALAR": "XLA_FFI_AttrType_SCALAR",
    "STRING": "XLA_FFI_AttrType_STRING", "METADATA": "XLA_FFI_Extension_Metadata",
}  # fmt: skip


def test_every_offset_and_value(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    checks = []

    def same(ours: str, theirs: str, members: str) -> None:
        for member in members.split():
            a, _, b = member.partition(":")
            b = b or a
            checks.append(f'static_assert(offsetof(ours::{ours}, {a}) == offsetof({theirs}, {b}), "{ours}.{a}");')
            checks.append(f'static_assert(sizeof(ours::{ours}::{a}) == sizeof({theirs}::{b}), "{ours}.{a}");')

    for ours, (theirs, members) in STRUCTURES.items():
        same(ours, theirs, members)
    for theirs, each in BOTH.items():
        same("Buffers", theirs, f"size:struct_size count:size kinds:types each:{each}")
    for a, b in VALUES.items():
        checks.append(f'static_assert(static_cast<long>(ours::{a}) == static_cast<long>({b}), "{a}");')
    # nothing that is written down is left unchecked
    text = HERE.read_text(encoding="utf-8")
    assert set(re.findall(r"^struct (\w+) {", text, re.MULTILINE)) == {*STRUCTURES, "Buffers"}
    source = tmp_path / "check.cpp"
    source.write_text(
        f'#include "{HERE}"\n#include "xla/ffi/api/c_api.h"\nnamespace ours = steelyard::xla;\n' + "\n".join(checks)
    )
    command = [compiler, "-std=c++17", "-fsyntax-only", "-I", jax.ffi.include_dir(), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
