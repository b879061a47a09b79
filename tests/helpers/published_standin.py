"""A stand-in for a checkout of the published GLaD code: modules of its names and signatures, around our own generator.

It was written for the tests alone and computes what the published functions are said to compute.
"""

from pathlib import Path

OPTIONS = """
import argparse
def add_shared_args():
    parser = argparse.ArgumentParser()
    for name, default in {"dataset": "CIFAR10", "model": "ConvNet", "space": "p", "dsa": "True",
                          "dsa_strategy": "color_crop_cutout_flip_scale_rotate"}.items():
        parser.add_argument("--" + name, type=str, default=default)
    for name, default in {"ipc": 1, "batch_real": 256, "layer": None, "sg_batch": 10, "width": 128, "depth": 5}.items():
        parser.add_argument("--" + name, type=int, default=default)
    return parser
"""
UTILS = """
import itertools
import torch
from torch import nn

class Config:
    mean = torch.zeros(1, 3, 1, 1).cuda()
    std = torch.ones(1, 3, 1, 1).cuda()

config = Config()

class ConvNet(nn.Module):
    def __init__(self, channel, num_classes, width, depth, side):
        super().__init__()
        parts = []
        for i in range(depth):
            parts += [nn.Conv2d(width if i else channel, width, 3, padding=1), nn.GroupNorm(width, width)]
            parts += [nn.ReLU(), nn.AvgPool2d(2)]
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Linear(width * (side >> depth) ** 2, num_classes)
    def embed(self, x):
        return self.features(x).flatten(1)
    def forward(self, x):
        return self.classifier(self.embed(x))

SEEDS = itertools.count(7)  # the published one takes them from the clock, and a rare network cannot be compared

def get_network(model, channel, num_classes, im_size=(32, 32), dist=True, depth=3, width=128, norm="instancenorm"):
    torch.random.manual_seed(next(SEEDS))
    return ConvNet(channel, num_classes, width, depth, im_size[0])

def match_loss(gw_syn, gw_real, args):
    assert args.dis_metric == "ours"
    total = torch.zeros(())
    for found, target in zip(gw_syn, gw_real):
        if found.ndim > 1:
            total = total + (1 - torch.cosine_similarity(found.flatten(1), target.flatten(1), eps=1e-6)).sum()
    return total

class ParamDiffAug:
    batchmode = None

def DiffAugment(x, strategy="", seed=-1, param=None):
    assert param.batchmode is None
    if strategy == "none":
        return x
    assert "cutout" in strategy
    if seed >= 0:
        torch.manual_seed(seed)
    return x * (1 + 0.1 * torch.rand(len(x) if seed < 0 else 1, 1, 1, 1))
"""
LATENTS = """
import torch
import utils

def latent_to_im(G, latents, args=None):
    w_plus = args.layer is None or args.layer == -1
    image = G(latents[0], mode="wp") if w_plus else G(latents[0], latents[1], args.layer, mode="from_f")
    return ((image + 1) / 2 - utils.config.mean) / utils.config.std

def prepare_latents(channel=3, num_classes=10, im_size=(32, 32), zdim=512, G=None, class_map_inv={}, get_images=None,
                    args=None):
    print("initializing")
    labels = torch.arange(num_classes).repeat_interleave(args.ipc)
    one_hot = torch.eye(10)[[class_map_inv[c] for c in labels.tolist()]]
    with torch.no_grad():
        w = G.mapping(torch.randn(len(labels), zdim), one_hot)
        f = G.forward(w, f_layer=args.layer, mode="to_f").clip(-10, 10).cuda()
    return w.requires_grad_(True), f.requires_grad_(True), labels

def get_optimizer_img(latents=None, f_latents=None, G=None, args=None):
    groups = [{"params": [latents], "lr": args.lr_w}, {"params": [f_latents], "lr": args.lr_img}]
    return torch.optim.SGD(groups if args.layer >= 0 else groups[:1], lr=args.lr_img, momentum=0.5)

def gan_backward(latents=None, f_latents=None, image_syn=None, G=None, args=None):
    given = latents.detach().requires_grad_(True), f_latents.detach().requires_grad_(True)
    print("backward")
    latent_to_im(G, given, args=args).backward(image_syn.grad)
    latents.grad, f_latents.grad = given[0].grad, given[1].grad
"""
REPARAM = """
import torch
from torch.func import functional_call
class ReparamModule(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self.inner = [module]
    def forward(self, x, flat_param=None):
        named, at = {}, 0
        for name, parameter in self.inner[0].named_parameters():
            named[name] = flat_param[at : at + parameter.numel()].view(parameter.shape)
            at += parameter.numel()
        return functional_call(self.inner[0], named, (x,))
"""
WRAPPER = """
import torch
class StyleGAN_Wrapper(torch.nn.Module):
    def __init__(self, G):
        super().__init__()
        self.G = G
        self.mapping = lambda z, c: G.mapping(z, c.argmax(1))
    def forward(self, ws=None, f_latents=None, f_layer=0, mode="wp"):
        synthesis = self.G.synthesis
        if mode == "to_f":
            return synthesis.features(ws, f_layer % len(synthesis.layer_names))
        return synthesis.synthesize(ws) if mode == "wp" else synthesis.synthesize(ws, f_latents, f_layer)
"""
NETWORKS = """
import torch
from generators import geometry, stylegan_xl
from generators.mapping import Mapping
def Generator(z_dim, c_dim, w_dim, img_resolution, img_channels, num_layers=14, channel_base=32768, channel_max=512,
              TABLE):
    specs = geometry.stem(img_resolution, num_layers, channel_base, channel_max, img_channels)
    mapping = Mapping(len(specs) + 1, z_dim, c_dim, w_dim, class_average=False)
    made = stylegan_xl.Generator(mapping, stylegan_xl.Synthesis(specs, w_dim))
    made.initialize(torch.Generator().manual_seed(int(torch.randint(1000, ()))))
    if not TAKEN:
        made.mapping.embed.weight.data.fill_(float(open("in_embeddings/table").read()))
    return made
"""


def write_checkout(folder: Path, takes_random_table: bool = True) -> Path:
    """Write the stand-in; its generator reads its table of classes from a file unless it takes the option for a random
    one."""
    signature = "mapping_kwargs={}" if takes_random_table else "*, frozen=True"
    taken = "mapping_kwargs['rand_embedding']" if takes_random_table else "False"
    files = {
        "shared_args.py": OPTIONS,
        "utils.py": UTILS,
        "glad_utils.py": LATENTS,
        "reparam_module.py": REPARAM,
        "stylegan_xl/sg_forward.py": WRAPPER,
        "stylegan_xl/training/__init__.py": "",
        "stylegan_xl/training/networks_stylegan3.py": NETWORKS.replace("TABLE", signature).replace("TAKEN", taken),
        "stylegan_xl/in_embeddings/table": "0.5",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
