"""Files whose tensors and storages were made to do harm, each with a pattern of what is said of it."""

import io
import pickle

import torch
from fixtures import tiny_generator
from official_pickles import Writer, attributes
from pickled_calls import Call, Global, dumps


def changed(change) -> bytes:
    """A published file whose generator ``change`` has changed: it gets the writer and the pickled network."""
    writer = Writer()
    network = writer.generator(tiny_generator())
    change(writer, network)
    return dumps({"G_ema": network})


def _tensor(*geometry, storage=None):
    """A change of one bias: another offset, size and stride, or another storage."""

    def change(writer, network):
        made = attributes(network, "mapping.fc1")["_parameters"].pairs["bias"].args[0]
        source = made.args[0] if storage is None else Call(Global("torch.storage", "_load_from_bytes"), storage)
        made.args = (source, *(geometry or made.args[1:4]), *made.args[4:])

    return changed(change)


def stream(count=5, stated=None, name="FloatStorage", content=None, junk=b"", little=True) -> bytes:
    """A storage in torch's stream, with claims of one's own."""
    identity = ("storage", Global("torch", name), "1", "cuda:0", count if stated is None else stated, None)
    system = {"protocol_version": 1001, "little_endian": little, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    file = io.BytesIO()
    for value in (0x1950A86A20F9469CFC6C, 1001, system):
        file.write(pickle.dumps(value, 2))
    file.write(b"\x80\x02" + junk + dumps(identity, 2)[2:-1] + b"Q.")
    file.write(pickle.dumps(["1"], 2) + count.to_bytes(8, "little", signed=True))
    return file.getvalue() + (bytes(20) if content is None else content)


def tensors() -> dict[str, tuple[bytes, str]]:
    """Tensors and storages that claim what is not there."""
    outside = r"mapping\.fc1\.bias: a tensor cannot have"
    claims = r"mapping\.fc1\.bias: a storage claims"
    return {
        "negative stride": (_tensor(4, (5,), (-1,)), rf"{outside} offset 4, size \(5\), stride \(-1\)"),
        "negative size": (_tensor(0, (-5,), (1,)), outside),
        "negative offset": (_tensor(-1, (5,), (1,)), outside),
        "offset outside": (_tensor(1, (5,), (1,)), rf"{outside} offset 1, .* in a storage of 5 elements"),
        "far offset": (_tensor(2**40, (5,), (1,)), outside),
        "far offset of nothing": (_tensor(2**40, (0,), (1,)), outside),
        "stride outside": (_tensor(0, (5,), (2,)), outside),
        "huge stride": (_tensor(0, (2,), (2**62,)), outside),
        "huge size": (_tensor(0, (2**62,), (1,)), outside),
        "repeated element": (_tensor(0, (10**12,), (0,)), outside),
        "overlapping rows": (_tensor(0, (3, 3), (1, 1)), outside),
        "size and stride": (_tensor(0, (5,), (1, 1)), outside),
        "many dimensions": (_tensor(0, (1,) * 100, (1,) * 100), outside),
        "list for a size": (_tensor(0, [5], (1,)), outside),
        "text for a size": (_tensor(0, ("5",), (1,)), outside),
        "1 TB": (_tensor(storage=stream(2**38)), f"{claims} 274877906944 elements"),
        "1 TB in the count": (_tensor(storage=stream(2**38, stated=5)), f"{claims} 5 elements .* 274877906944 are"),
        "1 TB in the reference": (_tensor(storage=stream(5, stated=2**38)), f"{claims} 274877906944 elements"),
        "negative count": (_tensor(storage=stream(-1)), "a storage of -1 elements"),
        "short storage": (
            _tensor(storage=stream(content=bytes(19))),
            f"{claims} 5 elements of 4 bytes.* 19 bytes there",
        ),
        "long storage": (_tensor(storage=stream(content=bytes(21))), claims),
        "big-endian": (_tensor(storage=stream(little=False)), "does not say that it is little-endian"),
        "unknown type": (_tensor(storage=stream(name="CudaStorage")), "a storage of type the name 'torch.CudaStorage'"),
        "os in a storage": (_tensor(storage=stream(junk=b"cos\nsystem\n0")), "asks for 'os.system'"),
        "no storage": (_tensor(storage=b"\x80\x02N."), "the file is cut off"),
        "another stream": (_tensor(storage=b"\x80\x02N." * 5), "begins with None, None"),
        "storage in a loop": (changed(_same_storage), "its objects would take more than"),
        "shared beyond the file": (changed(_shared), "more than twice the"),
    }


def _same_storage(writer, network):
    """Every tensor has the same storage, whose stream holds ten thousand opcodes."""
    call = Call(Global("torch.storage", "_load_from_bytes"), stream(junk=b"N0" * 50_000))
    for path in ("mapping.fc0", "mapping.fc1", "synthesis.input"):
        state = attributes(network, path)
        made = state["_parameters"].pairs["weight"].args[0]
        made.args = (call, 0, (5,), (1,), *made.args[4:])
        state["_parameters"].pairs |= {f"w{i}": state["_parameters"].pairs["weight"] for i in range(20)}


def _shared(writer, network):
    """A thousand names for one storage of a tenth of a megabyte."""
    weight = writer.tensor(torch.zeros(25_000), parameter=True)
    attributes(network, "mapping.fc1")["_parameters"].pairs |= {f"w{i}": weight for i in range(450)}
