"""Pickles shaped as StyleGAN-XL publishes them, written from our own generators: no class of theirs is needed."""

import io
import pickletools

import numpy as np
import torch
from pickled_calls import Call, Global, dumps

from generators import geometry

SOURCE = (
    '"""A module of another\'s; reading this file must not run it."""\nraise SystemExit("the source was run")\n'
    + ("# filling, so that it is as long as the published ones\n" * 600)
)
ARRAY = "_reconstruct"


class Writer:
    """The choices that differ between files: how numpy is named, where the tensors were, what torch wrote."""

    def __init__(
        self,
        numpy="direct",
        package="numpy.core.multiarray",
        device="cuda:0",
        ordered=True,
        scalars=True,
        source=SOURCE,
    ):
        self.numpy, self.package, self.device = numpy, package, device
        self.ordered, self.scalars, self.source = ordered, scalars, source
        self.storages = {}

    def name(self, name):
        """numpy's ``name``: directly, or by the two calls of dill 0.3.4."""
        if self.numpy != "indirect":
            return Global(self.package, name)
        module = Call(Global("dill._dill", "_import_module"), self.package)
        return Call(Global("dill._dill", "_get_attr"), module, name)

    def dtype(self, dtype):
        order = "|" if dtype.itemsize == 1 else "<"
        code = dtype.str[1:]
        return Call(Global("numpy", "dtype"), code, False, True, state=(3, order, None, None, None, -1, -1, 0))

    def scalar(self, value):
        value = np.asarray(value)
        return Call(self.name("scalar"), self.dtype(value.dtype), value.tobytes()) if self.scalars else value.item()

    def array(self, values):
        values = np.asarray(values)
        state = (1, values.shape, self.dtype(values.dtype), False, values.tobytes())
        arguments = (Global("numpy", "ndarray"), (0,), b"b")
        if self.numpy == "create_array":
            return Call(Global("dill._dill", "_create_array"), self.name(ARRAY), arguments, state, None)
        return Call(self.name(ARRAY), *arguments, state=state)

    def storage(self, tensor):
        """The stream of ``tensor``'s storage as torch writes it, with the device of the author's machine."""
        key = tensor.untyped_storage().data_ptr()
        if key not in self.storages:
            file = io.BytesIO()
            storage = torch.storage.TypedStorage(
                wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True
            )
            torch.save(storage, file, _use_new_zipfile_serialization=False)
            stated = f"X{chr(len(self.device))}\0\0\0{self.device}".encode()
            stream = file.getvalue().replace(b"X\x03\0\0\0cpu", stated, 1)
            self.storages[key] = Call(Global("torch.storage", "_load_from_bytes"), stream), tensor
        return self.storages[key][0]

    def tensor(self, tensor, parameter=False):
        tensor = tensor.detach()
        hooks = Call(Global("collections", "OrderedDict"))
        geometry = tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride())
        made = Call(Global("torch._utils", "_rebuild_tensor_v2"), self.storage(tensor), *geometry, parameter, hooks)
        return Call(Global("torch._utils", "_rebuild_parameter"), made, True, hooks) if parameter else made

    def dictionary(self, pairs):
        return Call(Global("collections", "OrderedDict"), pairs=pairs) if self.ordered else dict(pairs)

    def module(self, kind, parameters=(), buffers=(), children=(), **attributes):
        """A persistent object with the state of a torch module."""
        state = {
            "training": False,
            "_parameters": self.dictionary({k: self.tensor(v, parameter=True) for k, v in dict(parameters).items()}),
            "_buffers": self.dictionary({k: v if v is None else self.tensor(v) for k, v in dict(buffers).items()}),
            "_non_persistent_buffers_set": Call(Global("dill._dill", "_load_type"), "set"),
            "_backward_hooks": Call(Global("collections", "OrderedDict")),
            "_is_full_backward_hook": None,
            "_forward_hooks": Call(Global("collections", "OrderedDict")),
            "_modules": self.dictionary(dict(children)),
            **attributes,
            "_init_args": (),
            "_init_kwargs": {
                "conv_kernel": 3,
                "extra": Call(Global("dnnlib.util", "EasyDict"), new=True, pairs={"a": 1}),
            },
        }
        if kind == "Embedding":
            return Call(Global("torch.nn.modules.sparse", "Embedding"), new=True, state=state)
        meta = {"type": "class", "version": 6, "module_src": self.source, "class_name": kind, "state": state}
        return Call(Global("torch_utils.persistence", "_reconstruct_persistent_obj"), meta)

    def fully_connected(self, layer):
        gain = self.scalar(np.float64(layer.rate / np.sqrt(layer.weight.shape[1])))
        return self.module("FullyConnectedLayer", {"weight": layer.weight, "bias": layer.bias}, weight_gain=gain)

    def mapping(self, mapping):
        table = self.module("Embedding", {"weight": mapping.embed.weight}, num_embeddings=1000)
        children = {"embed": table}
        children |= {n: self.fully_connected(m) for n, m in mapping.named_children() if n != "embed"}
        sizes = {"z_dim": mapping.z_dim, "c_dim": mapping.c_dim, "num_ws": mapping.num_ws}
        return self.module("MappingNetwork", {}, {"w_avg": mapping.w_avg}, children, **sizes)

    def layer(self, layer, stated=True):
        spec = layer.spec
        attributes = {
            "is_torgb": spec.to_rgb,
            "is_critically_sampled": spec.critical,
            "use_fp16": self.scalar(np.bool_(True)),
            "in_channels": spec.in_channels,
            "out_channels": spec.out_channels,
            "in_size": self.array(np.array([spec.in_size] * 2)),
            "out_size": self.array(np.array([spec.out_size] * 2)),
            "conv_kernel": spec.kernel,
            "conv_clamp": spec.clamp,
            "magnitude_ema_beta": spec.ema_beta,
            "up_factor": spec.up,
            "up_taps": spec.up_taps,
            "down_factor": spec.down,
            "down_taps": spec.down_taps,
            "down_radial": spec.radial or spec.to_rgb,
            "padding": list(spec.padding),
        }
        if spec.signals:
            for side, signal in zip(("in", "out"), spec.signals, strict=True):
                attributes[f"{side}_sampling_rate"] = signal.rate
                attributes[f"{side}_cutoff"] = self.scalar(np.float64(signal.cutoff))
                attributes[f"{side}_half_width"] = self.scalar(np.float64(signal.half_width))
            attributes["tmp_sampling_rate"] = spec.signals[0].rate * spec.up
        buffers = {name: getattr(layer, name) for name in ("magnitude_ema", "up_filter", "down_filter")}
        parameters = {"weight": layer.weight, "bias": layer.bias}
        children = {"affine": self.fully_connected(layer.affine)}
        return self.module("SynthesisLayer", parameters, buffers, children, **(attributes if stated else {}))

    def generator(self, generator, stated=True):
        """The whole of ``generator``; ``told=False`` leaves out every attribute."""
        synthesis, source = generator.synthesis, generator.synthesis.input
        sizes = {"img_resolution": generator.resolution, "img_channels": generator.channels}
        codes = {"w_dim": synthesis.w_dim, "num_ws": synthesis.num_ws}
        about = {"size": self.array(np.array([source.size] * 2)), "sampling_rate": float(source.rate)}
        about |= {"bandwidth": source.bandwidth, "channels": source.weight.shape[0]}
        fourier = self.module(
            "SynthesisInput",
            {"weight": source.weight},
            {name: getattr(source, name) for name in ("freqs", "phases", "transform")},
            {"affine": self.fully_connected(source.affine)},
            **(about if stated else {}),
        )
        layers = {layer.spec.name: self.layer(layer, stated) for layer in synthesis.layers}
        about = {"layer_names": list(synthesis.layer_names), "output_scale": synthesis.output_scale}
        about |= {
            "margin_size": (source.size - source.rate) // 2,
            "sampling_rates": self.array(np.zeros(3)),
            **codes,
            **sizes,
        }
        children = {"input": fourier, **layers}
        networks = {"mapping": self.mapping(generator.mapping)}
        networks["synthesis"] = self.module("SynthesisNetwork", {}, {}, children, **(about if stated else {}))
        about = {"z_dim": generator.mapping.z_dim, "c_dim": generator.mapping.c_dim, **codes, **sizes}
        return self.module("SuperresGenerator", {}, {}, networks, **(about if stated else {}))


def attributes(network, path=""):
    """The pickled attributes of the object at ``path`` inside a pickled ``network``, to be changed."""
    for name in filter(None, path.split(".")):
        children = attributes(network)["_modules"]
        network = (children.pairs if isinstance(children, Call) else children)[name]
    return network.state if network.new else network.args[0]["state"]


def discriminator():
    """A stand-in for the published discriminator: classes that nobody here has, made in every way that pickle knows."""
    hook = Call(Global("dill._dill", "_create_function"), Call(Global("dill._dill", "_create_code"), 1, b"\x64", ()))
    hook.state = {"cells": Call(Global("dill._dill", "_create_cell"), None)}
    made = Call(
        Global("dill._dill", "_create_type"),
        Global("builtins", "type"),
        "Spectral",
        (Global("torch.nn", "Module"),),
        {},
    )
    named = {
        f"part{i}": Call(Global(f"timm.models.layer{i}", f"Layer{i}.Inner"), new=True, state={"n": i, "inside": [i]})
        for i in range(60)
    }
    looped = []
    looped.append(looped)
    return Call(
        Global("pg_modules.discriminator", "ProjectedDiscriminator"),
        new=True,
        items=[Call(made, 1, state={"a": 1}), Call(Call(Global("builtins", "getattr"), made, "x"), 2), looped],
        pairs={"k": hook, (1, (2, 3)): made, 5: {1, 2, 3}, "frozen": frozenset([7]), **named},
        state={"dtype": Global("torch", "float16"), "device": Call(Global("torch", "device"), "cuda", 0), "hook": hook},
    )


def training_data():
    return {
        "class_name": "training.dataset.ImageFolderDataset",
        "path": "/home/someone/data/imagenet128.zip",
        "resolution": 128,
    }


def write(path, generator, protocol=4, key="G_ema", with_d=False, writer=None, **options):
    """Write ``generator`` as a published file would hold it."""
    writer = Writer() if writer is None else writer
    network = writer.generator(generator, **options)
    contents = {"G": None, "D": discriminator() if with_d else None, "G_ema": None, "augment_pipe": None}
    contents |= {"training_set_kwargs": training_data(), "progress": {"cur_nimg": writer.tensor(torch.tensor([7]))}}
    if key == "G":
        contents = {}
    path.write_bytes(dumps({**contents, key: network}, protocol))
    return path


def opcodes(path):
    """Names of the opcodes in a file."""
    return {opcode.name for opcode, _, _ in pickletools.genops(path.read_bytes())}


def chain(radial_stem=True):
    """A super-resolution stage of 3x3 kernels on a stem of 1x1 kernels and radial filters, as ImageNet's."""
    stem = geometry.stem(8, 4, 48, 6, kernel=1, radial=radial_stem)
    return geometry.superres(stem, 4, 2, 48, 6)
