"""Files that were made to do harm, each with a pattern of what is said of it."""

from fixtures import tiny_generator
from hostile_tensors import changed, tensors
from official_pickles import Writer, attributes
from pickled_calls import Call, Global, dumps

MANY = 1_500_000
TENSOR = b"ctorch\nTensor\n"


def asking(command: str) -> dict[str, tuple[bytes, str]]:
    """Calls of functions with ``command``, in the place of the network."""
    found = {}
    places = [("os", "system"), ("posix", "system"), ("subprocess", "check_output")]
    for module, name in [*places, ("builtins", "eval"), ("__builtin__", "execfile"), ("runpy", "run_path")]:
        for protocol in (3, 4):
            made = dumps({"G_ema": Call(Global(module, name), command)}, protocol)
            found[f"{module}.{name}, protocol {protocol}"] = (
                made,
                f"asks for '{module}.{name}', which no generator needs",
            )
    for module, name in [
        ("torch", "os.system"),
        ("os.path", "os.system"),
        ("torch_utils", "persistence._reconstruct_persistent_obj"),
    ]:
        made = dumps({"G_ema": Call(Global(module, name), command)})
        found[f"dots in {module}"] = made, f"G_ema: a network is expected, not an object made by '{module}.{name}'"
    module = Call(Global("dill._dill", "_import_module"), "os")
    made = dumps({"G_ema": Call(Call(Global("dill._dill", "_get_attr"), module, "system"), command)})
    found["dill's os.system"] = made, r"a network is expected, not an object made by 'os\.system'"
    getter = Call(Global("builtins", "getattr"), Global("torch", "hub"), "load")
    found["getattr"] = dumps({"G": Call(getter, command)}), "G: a network is expected, not .* by a computed function"
    network = Writer().generator(tiny_generator())
    for place in ("D", "augment_pipe", "training_set_kwargs"):
        made = dumps({place: Call(Global("os", "system"), command), "G_ema": network})
        found[f"os.system beside a generator, in {place}"] = made, "asks for 'os.system'"
    found["reduce of the file"] = dumps(Call(Global("nt", "system"), command)), "asks for 'nt.system'"
    return found


def lengths() -> dict[str, tuple[bytes, str]]:
    """Numbers that announce more than there is."""
    return {
        "integer": (b"\x80\x04\x8b\xff\xff\xff\x7f" + b"\1" * 1000 + b".", "an integer of 2147483647 bytes"),
        "negative integer": (b"\x80\x04\x8b\xff\xff\xff\xff.", "an integer of 4294967295 bytes"),
        "integer of the file": (
            b"\x80\x04\x8b" + MANY.to_bytes(4, "little") + b"\1" * MANY + b".",
            "an integer of 15000",
        ),
        "text": (b"\x80\x04X\xff\xff\xff\xffabc.", "4294967295 bytes are announced, 4 are left"),
        "longer text": (b"\x80\x04\x8d" + b"\xff" * 8 + b"abc.", "18446744073709551615 bytes are announced"),
        "bytes": (b"\x80\x03B\xff\xff\xff\xffabc.", "4294967295 bytes are announced"),
        "longer bytes": (b"\x80\x04\x8e" + b"\xff" * 8 + b"abc.", "18446744073709551615 bytes are announced"),
        "byte array": (b"\x80\x05\x96" + b"\xff" * 7 + b"\x7fabc.", "bytes are announced"),
        "frame": (b"\x80\x04\x95" + b"\xff" * 8 + b"N.", "18446744073709551615 bytes are announced"),
        "memo": (b"\x80\x04Nr\xff\xff\xff\xff.", "numbers a value 4294967295"),
        "name": (b"\x80\x03c" + b"a" * MANY, "a name does not end"),
    }


def opcodes() -> dict[str, tuple[bytes, str]]:
    """Opcodes that pickle does not write in these protocols, or not there."""
    texts = [
        b"I1\n",
        b"L1L\n",
        b"F1\n",
        b"S'a'\n",
        b"Va\n",
        b"g0\n",
        b"p0\n",
        b"P1\n",
        b"T\1\0\0\0a",
        b"U\1a",
        b"(l",
        b"(d",
    ]
    refused = [
        b"\x82\1",
        b"\x83\1\1",
        b"\x84\1\1\1\1",
        b"(ios\nsystem\n",
        b"(" + TENSOR + b"o",
        b"\x97",
        b"\x98",
        *texts,
    ]
    found = {
        f"opcode {code[:12]!r}": (b"\x80\x03" + code + b".", "is none of those that pickle writes") for code in refused
    }
    return found | {
        "state for a name": (b"\x80\x03" + TENSOR + b"}b.", "gives a state to the name 'torch.Tensor'"),
        "state for a list": (b"\x80\x03]}b.", "gives a state to a list"),
        "items for a name": (b"\x80\x03" + TENSOR + b"Na.", "appends to the name 'torch.Tensor'"),
        "items for a dictionary": (b"\x80\x03}Na.", "appends to a dictionary"),
        "pairs for a list": (b"\x80\x03]NNs.", "sets 2 keys and values of a list"),
        "half a pair": (b"\x80\x03}(Nu.", "sets 1 keys and values of a dictionary"),
        "call of a number": (b"\x80\x03K\1)R.", "calls 1 with a tuple"),
        "call with a list": (b"\x80\x03" + TENSOR + b"]R.", "calls the name 'torch.Tensor' with a list"),
        "name of numbers": (b"\x80\x04K\1K\2\x93.", "asked for by something that is no text"),
        "name that is no text": (b"\x80\x03c\xff\xff\na\n.", "a text is not UTF-8"),
        "unknown number": (b"\x80\x04Nq\5h\4.", "asks for value number 4, which it never numbered"),
        "nothing there": (b"\x80\x04.", "a value is needed and there is none"),
        "nothing since the mark": (b"\x80\x04N(\x85.", "1 values are needed and they are not there"),
        "no mark": (b"\x80\x04NNt.", "a mark is needed and there is none"),
        "protocol 1": (b"\x80\x01N.", "pickle protocol 1; 2 to 5 are read"),
        "no end": (b"\x80\x04N", "the file is cut off"),
        "persistent": (b"\x80\x04}\x8c\x05G_emaK\1Qs.", "G_ema: a network is expected, not a reference"),
    }


def shapes() -> dict[str, tuple[bytes, str]]:
    """Structures that hang, crash or fill a reader that follows, hashes or copies them."""
    doubling = (
        b"\x80\x04]\x94" + b"".join(b"]\x94" + b"h" + bytes([i]) + b"ah" + bytes([i]) + b"a" for i in range(90)) + b"."
    )
    colliding = b"".join(b"\x8a\x0a" + ((2**61 - 1) * i).to_bytes(10, "little") + b"N" for i in range(100_000))
    keys = r"the file: a dictionary with a .* for a key, where short texts are expected"
    found = {
        "doubled lists": (doubling, "a dictionary of networks is expected, not a list"),
        "doubled tuple as a key": (b"\x80\x04})" + b"2\x86" * 80 + b"Ns.", keys),
        "deep tuple as a key": (b"\x80\x04})" + b"\x85" * 300_000 + b"Ns.", keys),
        "deep lists": (b"\x80\x04" + b"]" * 300_000 + b"a" * 299_999 + b".", "not a list"),
        "deep dictionaries": (b"\x80\x04" + b"}" + b"N}" * 200_000 + b"s" * 200_000 + b".", "with None for a key"),
        "colliding keys": (b"\x80\x04}(" + colliding + b"u.", "a dictionary of 100000 entries"),
        "a list in itself as a key": (b"\x80\x04}]\x94h\0ah\0s.", keys),
        "a dictionary as its own key": (b"\x80\x04}\x94h\0Ns.", keys),
        "a dictionary in itself": (
            b"\x80\x04}\x94\x8c\x05G_emah\0s.",
            "G_ema: a network is expected, not a dictionary",
        ),
        "no network": (dumps({"D": 1, "a": None}), "neither 'G_ema' nor 'G' is among 'D', 'a'"),
        "an empty dictionary": (dumps({}), "neither 'G_ema' nor 'G' is among nothing"),
        "a tuple": (dumps((1, 2, 3)), "a dictionary of networks is expected, not a tuple"),
    }
    loads = {"lists": b"]", "dictionaries": b"}", "marks": b"(", "bytes": b"C\0", "numbers": b"J\xff\xff\xff\x7f"}
    loads |= {
        "names": b"ca\nb\n",
        "calls": b")R",
        "wide texts": b"\x8c\4\xf0\x9f\x98\x80",
        "tuples": b"\x85",
        "memos": b"\x94",
    }
    for what, code in loads.items():
        found[f"many {what}"] = b"\x80\x03" + TENSOR + code * MANY + b".", "its objects would take more than"
    wide = b"\xf0\x9f\x98\x80" + b"a" * 60_000_000
    found["wide text"] = (
        b"\x80\x04X" + len(wide).to_bytes(4, "little") + wide + b".",
        "its objects would take more than",
    )
    return found


def objects() -> dict[str, tuple[bytes, str]]:
    """Networks and arrays that are not what they are said to be."""

    def layer(**state):
        return changed(lambda writer, network: attributes(network, "synthesis.L0_28_6").update(state))

    def nested(writer, network):
        mapping = attributes(network)["_modules"].pairs["mapping"]
        mapping.args[0]["state"]["_modules"].pairs["self"] = Call(mapping.function, mapping.args[0])

    def doubled(writer, network):
        inner = writer.module("Empty")
        for _ in range(3):
            inner = writer.module("Box", {}, {}, {f"n{i}": inner for i in range(450)})
        attributes(network)["_modules"].pairs["more"] = inner

    def long_names(writer, network):
        inner = writer.module("Empty")
        box = writer.module("Box", {}, {}, {f"n{i}": inner for i in range(400)})
        attributes(network)["_modules"].pairs["m" * 10**7] = box

    def state_of_network(writer, network):
        network.state = {"__class__": Global("torch.nn", "Linear")}

    state = (1, (2,), Call(Global("numpy", "dtype"), "O8", False, True, state=(3, "|")), False, [1, 2])
    array = Call(Global("numpy.core.multiarray", "_reconstruct"), Global("numpy", "ndarray"), (0,), b"b", state=state)
    f8 = Call(Global("numpy", "dtype"), "f8", False, True, state=(3, "<", None, None, None, -1, -1, 0))
    short = Call(Global("numpy.core.multiarray", "scalar"), f8, b"1234")
    huge = Call(Global("numpy.core.multiarray", "_reconstruct"), state=(1, (2**40,), f8, False, b"1" * 8))
    strange = Call(
        Global("numpy.core.multiarray", "scalar"), Call(Global("numpy", "dtype"), "V8", False, True), b"1" * 8
    )
    return {
        "array of objects": (layer(in_size=array), r"L0_28_6\.in_size: an array of 'O8' is not one of plain numbers"),
        "scalar of void": (layer(in_cutoff=strange), r"in_cutoff: an array of 'V8' is not one of plain numbers"),
        "short scalar": (layer(in_cutoff=short), r"in_cutoff: an array .* does not go with bytes"),
        "huge array": (layer(in_size=huge), r"in_size: an array .* does not go with bytes"),
        "nested lists": (layer(padding=[[1], [2]]), r"padding: a number is expected, not a list"),
        "a name for a number": (
            layer(conv_clamp=Global("math", "inf")),
            "a number is expected, not the name 'math.inf'",
        ),
        "an infinite cutoff": (layer(in_cutoff=float("inf")), "in_cutoff: a number is expected, not inf"),
        "no filter": (layer(_buffers={"up_filter": 3}), r"L0_28_6\.up_filter: a tensor is expected, not 3"),
        "long names": (changed(long_names), "G_ema._modules: a dictionary with 'mmm.* for a key, where short texts"),
        "many attributes": (
            layer(**{f"a{i}": i for i in range(2000)}),
            r"a dictionary of 20\d\d entries; at most 500",
        ),
        "a network in itself": (changed(nested), "nests them more than 4 deep"),
        "doubled networks": (changed(doubled), "more than 500 objects"),
        "state of a network": (changed(state_of_network), "G_ema: a network is expected"),
        "module of numbers": (changed(lambda w, n: n.args[0].update(class_name=3)), "described as 'class' 3"),
        "function": (changed(lambda w, n: n.args[0].update(type="function")), "described as 'function'"),
        "no state": (
            changed(lambda w, n: n.args[0].pop("state")),
            "the state of G_ema: a dictionary is expected, not None",
        ),
    }


def cuts(whole: bytes, parts: int = 50) -> dict[str, tuple[bytes, str]]:
    """``whole``, cut off at every ``parts``-th of its length."""
    return {
        f"cut at {i} of {parts}": (whole[: len(whole) * i // parts], "cut off|empty|begins with") for i in range(parts)
    }


def everything(command: str) -> dict[str, tuple[bytes, str]]:
    """All of them by name; those called many, deep or wide take a reader a second or two each."""
    genuine = dumps({"G_ema": Writer().generator(tiny_generator())})
    parts = [asking(command), lengths(), opcodes(), shapes(), tensors(), objects(), cuts(genuine)]
    return {name: case for part in parts for name, case in part.items()}
