"""``glad protocols``."""

import click
import yaml
from rich.console import Console
from rich.table import Table


@click.command()
@click.argument("name", required=False)
def protocols(name: str | None) -> None:
    """List the protocols of `glad evaluate`, or print one.

    The fields of the protocol NAME are printed as a YAML file: `glad protocols default > my.yaml`, change it, `glad
    evaluate RUN --protocol my.yaml`. Fields that a file lacks are those of the default protocol.
    """
    from glad.evaluation import list_protocols
    from glad.evaluation.protocol import LATER, resolve_protocol

    if name is not None:
        protocol = resolve_protocol(name)[1]
        fields = {**protocol.to_dict(), **{flag: getattr(protocol, flag) for flag in LATER}}
        click.echo(yaml.safe_dump(fields, sort_keys=False), nl=False)
        return
    table = Table()
    for heading in ("protocol", "epochs", "learning rates", "schedule", "averaged weights", "augmentation"):
        table.add_column(heading)
    for known in list_protocols():
        protocol = resolve_protocol(known)[1]
        rates = {"seen": protocol.learning_rate_seen, "cross": protocol.learning_rate_cross, **protocol.learning_rates}
        table.add_row(
            known,
            str(protocol.epochs),
            ", ".join(f"{network} {rate:g}" for network, rate in rates.items()),
            protocol.schedule,
            "yes" if protocol.average_decay else "no",
            protocol.augmentation,
        )
    Console(width=None if Console().is_terminal else 160).print(table)
