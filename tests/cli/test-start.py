"""A worker that cannot start ends with the right status and exactly one clear line."""
import os
import shutil
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

QUIET = ("--set", "log.level=error")
EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE, EX_IOERR, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = (
    64, 65, 66, 69, 74, 75, 77, 78)


def refused(status, part, *args, env=None):
    have, _, err = run("serve", *args, env=env)
    equal(have, status, err)
    equal(len(err.splitlines()), 1, err)
    contains(err, part)
    check(err.startswith("orcd serve: "), err)


def mock(*args):
    return ("--plugin", "mock", "--listen", "127.0.0.1:0", *args)


def needs_model():
    """A plugin that needs a model file; only the cpu plugin does."""
    if not os.path.exists(os.path.join(PLUGINS, "cpu.so")):
        raise Skip("no cpu plugin")
    return ("--plugin", "cpu", "--listen", "127.0.0.1:0")


def gguf(arch):
    """The smallest file with a family's name and nothing else."""
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()
    kv = text("general.architecture") + struct.pack("<I", 8) + text(arch)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + kv


def plugin_missing():
    refused(EX_NOINPUT, "no plugin nosuch", "--plugin", "nosuch")


def plugin_is_no_shared_object():
    with Dir() as d:
        d.file("bad.so", "not ELF")
        have, _, err = run("serve", "--plugin", "bad", "--set", "plugin.dir=" + d.path)
        check(have in (EX_DATAERR, EX_UNAVAILABLE), have, err)
        equal(len(err.splitlines()), 1, err)


def plugin_of_another_abi():
    """A shared object without orcd's entry symbol: any library of the system will do."""
    import ctypes.util
    for folder in ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib"):
        path = os.path.join(folder, "libm.so.6")
        if os.path.exists(path):
            break
    else:
        raise Skip("no libm.so.6")
    with Dir() as d:
        shutil.copy(path, os.path.join(d.path, "other.so"))
        os.chmod(os.path.join(d.path, "other.so"), 0o755)
        refused(EX_UNAVAILABLE, "orcd_plugin_v1", "--plugin", "other", "--set", "plugin.dir=" + d.path)


def plugin_that_others_may_write():
    with Dir() as d:
        path = os.path.join(d.path, "mock.so")
        shutil.copy(os.path.join(PLUGINS, "mock.so"), path)
        os.chmod(path, 0o775)
        refused(EX_NOPERM, "mock.so", "--plugin", "mock", "--set", "plugin.dir=" + d.path)
        os.chmod(path, 0o755)
        os.chmod(d.path, 0o777)
        refused(EX_NOPERM, d.path, "--plugin", "mock", "--set", "plugin.dir=" + d.path)


def plugin_name_is_no_path():
    refused(EX_NOPERM, "../mock", "--plugin", "../mock")


def plugin_option_unknown():
    refused(EX_CONFIG, "did you mean token_ms?", *mock(*QUIET, "--set", "plugin.options.tokenms=1"))


def plugin_option_out_of_range():
    refused(EX_CONFIG, "token_ms", *mock(*QUIET, "--set", "plugin.options.token_ms=-1"))


def plugin_fails_to_load():
    refused(EX_UNAVAILABLE, "load", *mock(*QUIET, "--set", "plugin.options.fault=load.fail"))


def device_memory_runs_out():
    refused(71, "ctx_new", *mock(*QUIET, "--set", "plugin.options.fault=ctx_new.oom"))


def context_longer_than_the_plugins():
    refused(EX_CONFIG, "must be at most 64",
            *mock(*QUIET, "--set", "plugin.options.context=64", "--set", "model.context=65"))


def model_not_named():
    refused(EX_CONFIG, "no model", *needs_model())


def model_missing():
    refused(EX_NOINPUT, "/nonexistent/m.gguf", *needs_model(), "/nonexistent/m.gguf")


def model_is_a_folder():
    args = needs_model()
    with Dir() as d:
        have, _, err = run("serve", *args, d.path)
        check(have in (EX_DATAERR, EX_IOERR), have, err)
        equal(len(err.splitlines()), 1, err)
        contains(err, d.path)


def model_unreadable():
    args = needs_model()
    if os.geteuid() == 0:
        raise Skip("root reads everything")
    with Dir() as d:
        refused(EX_NOPERM, "m.gguf", *args, d.file("m.gguf", gguf("llama"), 0))


def model_truncated():
    args = needs_model()
    with Dir() as d:
        for n in (0, 3, 4, 23, 30, len(gguf("llama")) - 1):
            refused(EX_DATAERR, "m.gguf", *args, d.file("m.gguf", gguf("llama")[:n]))


def model_of_an_unknown_family():
    args = needs_model()
    with Dir() as d:
        path = d.file("m.gguf", gguf("mamba"))
        refused(EX_UNAVAILABLE, "mamba", *args, path)
        contains(run("serve", *args, path)[2], "llama")


def real_model_truncated():
    path = os.path.join(SHARED, "data/models/stories260K.gguf")
    if not SHARED or not os.path.exists(path):
        raise Skip("no shared models")
    args = needs_model()
    with open(path, "rb") as f:
        data = f.read()
    with Dir() as d:
        refused(EX_DATAERR, "cut.gguf", *args, d.file("cut.gguf", data[:-1000]))


def port_in_use():
    with Worker() as w:
        port = w.url.rsplit(":", 1)[1]
        refused(EX_TEMPFAIL, "127.0.0.1:" + port,
                "--plugin", "mock", *QUIET, "--listen", "127.0.0.1:" + port)
        refused(EX_TEMPFAIL, "127.0.0.1:" + port,
                "--plugin", "mock", *QUIET, "--listen", "127.0.0.1:" + port, "--set", "http.threads=2")
        equal(w.stop(), 0)


def address_malformed():
    for listen in ("nonsense", "127.0.0.1:99999", "127.0.0.1", "unix:", "[::1"):
        have, _, err = run("serve", "--plugin", "mock", *QUIET, "--listen", listen)
        check(have in (EX_DATAERR, EX_CONFIG, EX_NOINPUT), listen, have, err)
        equal(len(err.splitlines()), 1, err)


def beyond_loopback_without_keys():
    refused(EX_NOPERM, "0.0.0.0", "--plugin", "mock", *QUIET, "--listen", "0.0.0.0:0")


def keys_that_others_may_read():
    with Dir() as d:
        path = d.file("keys", "0123456789abcdef-secret\n", 0o644)
        refused(EX_NOPERM, "chmod 600", *mock("--set", "http.api_keys_file=" + path))
        os.chmod(path, 0o600)
        check("secret" not in run("serve", *mock("--set", "http.api_keys_file=" + path,
                                                 "--set", "plugin.name=nosuch"))[2])
    refused(EX_NOINPUT, "/nonexistent", *mock("--set", "http.api_keys_file=/nonexistent"))


def bad_yaml():
    with Dir() as d:
        path = d.file("o.yaml", "http:\n  listn: x\n")
        refused(EX_CONFIG, path + ":2: http.listn: unknown key; did you mean http.listen?", "--config", path)
        path = d.file("o.yaml", "model: [\n")
        refused(EX_CONFIG, path + ":1: ", "--config", path)
    refused(EX_NOINPUT, "/nonexistent.yaml", "--config", "/nonexistent.yaml")


def bad_environment_and_options():
    refused(EX_CONFIG, "ORCD_MODEL_SLOTS: model.slots: '0'", env={"ORCD_MODEL_SLOTS": "0"})
    refused(EX_USAGE, "--set: model.slots", "--set", "model.slots=x")
    refused(EX_USAGE, "unknown option", "--nosuch")
    refused(EX_USAGE, "needs", "--set")
    refused(EX_USAGE, "unexpected argument 'b.gguf'", "a.gguf", "b.gguf")
    refused(EX_CONFIG, "TLS", "--set", "http.tls.cert=/x")


main([plugin_missing, plugin_is_no_shared_object, plugin_of_another_abi, plugin_that_others_may_write,
      plugin_name_is_no_path, plugin_option_unknown, plugin_option_out_of_range, plugin_fails_to_load,
      device_memory_runs_out, context_longer_than_the_plugins, model_not_named, model_missing,
      model_is_a_folder, model_unreadable, model_truncated, model_of_an_unknown_family, real_model_truncated,
      port_in_use, address_malformed, beyond_loopback_without_keys, keys_that_others_may_read, bad_yaml,
      bad_environment_and_options])
