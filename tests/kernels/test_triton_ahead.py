"""The Triton kernels compiled for sm_90 (H100, H200) on any machine: nothing spilled, and the product on tensor cores.

`triton.compile` gives the cubin; cuobjdump and nvdisasm, which Triton ships, say what is in it: STACK and LDL/STL are
registers kept in memory, HGMMA is Hopper's matrix instruction, UTMALDG and UTMASTG its bulk copies.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

triton = pytest.importorskip("triton", reason="Triton is not installed: it exists for Linux only")
tl = pytest.importorskip("triton.language")
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from steelyard.kernels import triton_linear, triton_softmax
from steelyard.losses._softmax import Parameters

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
WIDE = {"fp32": tl.float32, "bf16": tl.float32, "fp16": tl.float32, "fp64": tl.float64}
USUAL = ("class_weight", "logit_scale", "logit_offset", "margin", "gamma", "poly_coefficient")
ALL = (*USUAL, "label_smoothing", "pairwise_offset", "compensation", "cost_matrix", "cost_coefficient")


class Code(NamedTuple):
    registers: int
    stack: int
    assembly: str

    def count(self, instruction: str) -> int:
        return len(re.findall(rf"\b{instruction}\b", self.assembly))


def compiled(
    kernel: Any, types: dict[str, str], constants: dict[str, Any], options: dict[str, Any], path: Path
) -> Code:
    """Return the code of a kernel whose pointers and sizes are multiples of 16, as torch's are at these sizes."""
    signature, attributes = {}, {}
    for i, name in enumerate(kernel.arg_names):
        signature[name] = "constexpr" if name in constants else types.get(name, "i32")
        if signature[name].startswith("*") or name in ("n_classes", "stride_n", "g_stride_n", "n_rows", "width"):
            attributes[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, attributes)
    # said, as the launches say it
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={**options, "enable_fp_fusion": True})
    cubin = path / "kernel.cubin"
    cubin.write_bytes(made.asm["cubin"])

    def tool(name: str, *arguments: str) -> str:
        line = [TOOLS / name, *arguments, cubin]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", tool("cuobjdump", "--dump-resource-usage")).groups()
    return Code(int(registers), int(stack), tool("nvdisasm", "-c"))


def nothing_is_spilled(code: Code) -> None:
    assert code.stack == 0
    assert code.count("LDL") == code.count("STL") == 0


def softmax(dtype: str, classes: int, names: tuple[str, ...], by: str, mode: str, path: Path) -> Code:
    p = Parameters(**dict.fromkeys(names, 1))
    tile = triton_softmax.tile(classes, triton_softmax.load(p, by, torch.float64 if dtype == "fp64" else torch.float32))
    warps = tile.pop("num_warps")
    constants = {
        "VALUE": "value" in mode, "GRADIENT": "gradient" in mode, "UPSTREAM": "gradient" in mode, "IGNORE": True,
        "WIDE": WIDE[dtype], **triton_softmax.flags(p, by), **tile,
        # of contiguous logits (n, c): what a launch specialises for
        "stride_c": 1, "g_stride_c": 1, "positions": 1, "stride_k": 0, "g_stride_k": 0, "w_stride": 0, "w_rows": 1,
        "offset_stride": 0, "offset_rows": 1,
    }  # fmt: skip
    wide = "fp64" if dtype == "fp64" else "fp32"
    types = {n: f"*{wide}" for n in triton_softmax.softmax_rows.arg_names if n.endswith("_ptr")}
    types |= {"z_ptr": f"*{dtype}", "g_ptr": f"*{dtype}", "y_ptr": "*i64", "stride_n": "i64", "g_stride_n": "i64"}
    code = compiled(triton_softmax.softmax_rows, types, constants, {"num_warps": warps}, path)
    # whole rows travel 16 bytes at a time
    assert code.count(r"LDG\.E\.128\S*") > 0
    return code


QUICK = [("bf16", 1000, USUAL, "target"), ("bf16", 128256, USUAL, "target"), ("fp32", 1000, ALL, "prediction")]
EVERY = [
    (dtype, classes, names, by)
    for dtype in ("bf16", "fp32", "fp16", "fp64")
    for classes in (100, 1000, 8142, 16384, 32768, 128256)
    for names, by in (((), "target"), (USUAL, "target"), (USUAL, "prediction"), (ALL, "pair"))
]


@pytest.mark.parametrize(("dtype", "classes", "names", "by"), QUICK)
def test_logits_stay_in_registers(dtype: str, classes: int, names: Any, by: str, tmp_path: Path) -> None:
    nothing_is_spilled(softmax(dtype, classes, names, by, "value and gradient", tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["value", "gradient", "value and gradient"])
@pytest.mark.parametrize(("dtype", "classes", "names", "by"), EVERY)
def test_logits_stay_in_registers_for_every(
    dtype: str, classes: int, names: Any, by: str, mode: str, tmp_path: Path
) -> None:
    nothing_is_spilled(softmax(dtype, classes, names, by, mode, tmp_path))


@pytest.mark.parametrize(
    ("on", "smoothing", "again"), [(False, False, False), (True, True, False), (True, False, True)]
)
def test_exponentials_are_a_product_of_tensor_cores(on: bool, smoothing: bool, again: bool, tmp_path: Path) -> None:
    bm, bn, bk = triton_linear.ROWS, triton_linear.COLUMNS, triton_linear.DEPTH
    constants = {
        "AGAIN": again, "IGNORE": True, "SCALE": on, "SHIFT": on, "SMOOTHING": smoothing, "BM": bm, "BN": bn, "BK": bk,
        "DTYPE": tl.bfloat16,
    }  # fmt: skip
    types = {n: "*fp32" for n in triton_linear.exponentials.arg_names if n.endswith("_ptr")}
    types |= {"y_ptr": "*i64", "far_ptr": "*i32", "x_desc": f"tensordesc<bf16[{bm}, {bk}]>"}
    types |= {"w_desc": f"tensordesc<bf16[{bn}, {bk}]>", "f_desc": f"tensordesc<bf16[{bm}, {bn // 4}]>"}
    options = {"num_warps": triton_linear._WARPS, "num_stages": triton_linear._STAGES}
    code = compiled(triton_linear.exponentials, types, constants, options, tmp_path)
    nothing_is_spilled(code)
    assert code.count(r"HGMMA\.64x256x16\.F32\.BF16") == bk // 16
    assert code.count("UTMALDG\\S*") > 0
    assert code.count("UTMASTG\\S*") > 0
    assert code.count("HMMA\\S*") == 0


@pytest.mark.parametrize("name", ["own_logits", "references", "glue"])
def test_row_kernels_compile(name: str, tmp_path: Path) -> None:
    kernel = getattr(triton_linear, name)
    constants = {n: True for n in kernel.arg_names if n.isupper()}
    constants |= {n: v for n, v in (("BLOCK", 1024), ("BM", 128), ("FAR", 60.0)) if n in constants}
    types = {n: "*fp32" for n in kernel.arg_names if n.endswith("_ptr")}
    types |= {
        n: t for n, t in (("x_ptr", "*bf16"), ("w_ptr", "*bf16" if name == "own_logits" else "*fp32")) if n in types
    }
    types |= {n: t for n, t in (("y_ptr", "*i64"), ("f_ptr", "*bf16"), ("far_ptr", "*i32")) if n in types}
    nothing_is_spilled(compiled(kernel, types, constants, {}, tmp_path))
