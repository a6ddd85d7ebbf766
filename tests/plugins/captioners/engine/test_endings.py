"""Why a run ended is told by what the engine really says: the lines are copied from both engines and their source."""

from __future__ import annotations

import errno
import signal

import pytest

from plugins.captioners.engine.endings import Kind, explain
from plugins.captioners.engine.launch import not_started

BEFORE = "0.00.002.558 W srv  llama_server: security: no API key is set and CORS allows all origins"
AFTER = "0.00.008.269 E srv  llama_server: exiting due to model loading error"


@pytest.mark.parametrize(
    ("line", "code", "kind", "words"),
    [
        (
            "E load: tensor 'blk.1.attn_q.weight' data is not within the file bounds, model is corrupted or incomplete",
            1,
            Kind.CORRUPT,
            "Download it anew",
        ),
        ("E gguf_init_from_reader: invalid magic characters: 'XXXX', expected 'GGUF'", 1, Kind.CORRUPT, "broken"),
        ("E gguf_init_from_reader: failed to read magic", 1, Kind.CORRUPT, "cut short"),
        ("E gguf_init_from_reader: number of tensors is -77 but must be in [0, 53624256]", 1, Kind.CORRUPT, "broken"),
        ("E read: string length 4040802435215752498 exceeds maximum 1073741824", 1, Kind.CORRUPT, "broken"),
        (
            "E clip_init: failed to load model 'm.gguf': load_tensors: failed to seek for tensor v.post_ln.bias",
            1,
            Kind.CORRUPT,
            "broken",
        ),
        (
            "E gguf_init_from_file: failed to open GGUF file '/m.gguf' (No such file or directory)",
            1,
            Kind.MISSING,
            "Put it back",
        ),
        (
            "E gguf_init_from_file: failed to open GGUF file '/m.gguf' (Permission denied)",
            1,
            Kind.UNREADABLE,
            "the right to read it",
        ),
        ("E llama_model_load: error loading model: unknown model architecture: 'zzama'", 1, Kind.TOO_NEW, "newer"),
        (
            "E clip_init: failed to load model 'm.gguf': load_hparams: unknown projector type: idefics9",
            1,
            Kind.TOO_NEW,
            "too old for this model",
        ),
        (
            "E llama_model_load: error loading model: CLIP cannot be used as main model, use it with --mmproj instead",
            1,
            Kind.NO_MODEL,
            "this one under mmproj",
        ),
        (
            "E mtmd_init_from_file: error: mismatch between text model (n_embd = 960) and mmproj (n_embd = 2048)",
            1,
            Kind.OTHER_MMPROJ,
            "projector of another model",
        ),
        ("E mtmd_init_from_file: error: Failed to load CLIP model from /t.gguf", 1, Kind.NO_MMPROJ, "'mmproj' in its"),
        ("error: invalid argument: --frobnicate", 1, Kind.OPTION, "extra_args"),
        ('error while handling argument "--threads": stoi', 1, Kind.OPTION, "extra_args"),
        ('error while handling argument "--device": invalid device: CUDA0', 1, Kind.DEVICE, "--list-devices"),
        (
            "error while loading shared libraries: libcudart.so.12: cannot open shared object file: No such file or …",
            127,
            Kind.LIBRARY,
            "lacks a library",
        ),
        (
            "dyld[123]: Library not loaded: @rpath/libggml.dylib",
            -signal.SIGABRT,
            Kind.LIBRARY,
            "where the config names this one as 'binary', leave that out",
        ),
        (
            "E ggml_aligned_malloc: insufficient memory (attempted to allocate 784.77 MB)",
            1,
            Kind.MEMORY,
            "smaller model",
        ),
        (
            "E llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers",
            1,
            Kind.MEMORY,
            "lower 'context'",
        ),
        (
            "terminate called after throwing an instance of 'std::bad_alloc'",
            -signal.SIGABRT,
            Kind.MEMORY,
            "ran out of memory",
        ),
        ("  what():  Resource temporarily unavailable", -signal.SIGABRT, Kind.MEMORY, "ran out of memory"),
        ("ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory", 1, Kind.MEMORY, "memory"),
        (
            "E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 33389",
            1,
            Kind.ADDRESS,
            "another 'port'",
        ),
        ("OSError: [Errno 28] No space left on device", 1, Kind.DISK, "Make room"),
        ("ggml.c:3354: GGML_ASSERT(ggml_can_mul_mat(a, b)) failed", -signal.SIGABRT, Kind.CRASH, "fault in itself"),
    ],
)
def test_cause_is_told_with_what_to_do_and_the_line_that_tells(line: str, code: int, kind: Kind, words: str):
    ending = explain(code, [BEFORE, line, *([AFTER] * 5)])
    assert ending.kind is kind
    assert words in ending.sentence
    assert line in ending.sentence, "even where others came after it"
    assert AFTER in ending.sentence
    assert BEFORE not in ending.sentence


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (-signal.SIGILL, Kind.INSTRUCTION, "built for another processor"),
        (-signal.SIGKILL, Kind.KILLED, "because memory ran out"),
        (-signal.SIGBUS, Kind.CUT_SHORT, "cut short, or its disk fails"),
        (-signal.SIGSEGV, Kind.CRASH, "crashed (SIGSEGV)"),
        (-signal.SIGTERM, Kind.KILLED, "was told to end (SIGTERM), and not by camscribe"),
        (0, Kind.OTHER, "ended as if it had been told to (exit status 0)"),
        (3, Kind.OTHER, "exit status 3"),
        (128 + signal.SIGKILL, Kind.KILLED, "was killed (SIGKILL)"),
        (128 + signal.SIGSEGV, Kind.CRASH, "crashed (SIGSEGV)"),
    ],
)
def test_ends_that_say_nothing_are_told_by_their_code(code: int, kind: Kind, words: str):
    ending = explain(code, [BEFORE])
    assert ending.kind is kind
    assert words in ending.sentence


def test_clean_end_is_not_blamed_on_what_was_said_before():
    assert explain(0, ["ggml_gallocr_reserve_n: failed to allocate CPU buffer"]).kind is Kind.OTHER


def test_lines_about_each_caption_are_no_last_words():
    """As a llama-server says them that is told to end."""
    lines = [
        "0.42.124.200 I srv  llama_server: model loaded",
        "0.42.124.253 I slot get_availabl: id  0 | task -1 | selected slot by id (0)",
        "0.42.124.260 I slot launch_slot_: id  0 | task 289 | processing task, is_child = 0",
        "0.42.149.800 I slot print_timing: id  0 | task 289 | prompt eval time =  9.5 ms",
        "0.42.149.880 I slot      release: id  0 | task 289 | stop processing: n_tokens = 64, truncated = 0",
        "0.44.865.867 I srv    operator(): operator(): cleaning up before exit...",
    ]
    assert explain(0, lines).sentence.endswith(f"Its last words: {lines[0]} | {lines[-1]}.")


def test_words_of_an_engine_that_talks_too_much_are_cut():
    assert len(explain(1, ["x" * 5000, "invalid magic " + "y" * 5000]).sentence) < 1000


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, Kind.DISK), (errno.EAGAIN, Kind.MEMORY), (errno.ENOMEM, Kind.MEMORY), (errno.EACCES, Kind.OTHER)],
)
def test_this_machines_own_faults_are_told_apart_too(number: int, kind: Kind):
    error = not_started("The engine can't be started", OSError(number, "why", "/where"))
    assert error.kind is kind
    assert str(error) == "The engine can't be started: why (/where)."


def test_what_time_mends_is_kept_trying():
    assert {kind for kind in Kind if kind.mends} == {
        Kind.MEMORY,
        Kind.KILLED,
        Kind.ADDRESS,
        Kind.DISK,
        Kind.SLOW,
        Kind.HANGS,
        Kind.OTHER,
    }
