"""Independent tasks: experts, evaluation cells, networks of an audit, tuning trials.

A task is a function of a context, which every process can make anew from settings, and a key. It writes at most one
file, durably, and returns a few numbers; done twice it gives the same bytes. So it may run anywhere, and again after
the process or machine that had it has gone.
"""
