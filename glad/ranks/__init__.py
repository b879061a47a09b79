"""Processes that share a run (ranks of ``torch.distributed``): each holds, renders and steps the rows of its classes.

The unit is the class: class c belongs to rank c mod world. Only gathers of tensors cross ranks, in a fixed order, and
what they bring is added class after class on every rank; kernels see the images of one class. So the bytes are the same
on any number of ranks. Nothing is unpickled.
"""
