"""The `doctor` command: its options, its exit status."""

# ruff: noqa: PLC0415 - imports inside functions keep --help quick

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nshell.arguments import CONNECTION, Checked, ChoiceWithHint, with_options
from nshell.cluster import names
from nshell.shell.errors import did_you_mean
from nshell.shell.exits import Exit

if TYPE_CHECKING:
    from nshell.cluster.doctor import Doctor
    from nshell.cluster.doctorreport import Report
    from nshell.cluster.manifests import Object

_KINDS = {"user": "User", "group": "Group", "serviceaccount": "ServiceAccount"}
_RBAC = "rbac.authorization.k8s.io"
_SOMEBODY = "NAME-OF-WHO-RUNS-IT"


def _subject(text: str) -> Object:
    """KIND:NAME, a service account as serviceaccount:NAMESPACE:NAME."""
    kind, _, name = text.partition(":")
    if kind.lower() not in _KINDS or not name:
        near = (
            did_you_mean(kind, _KINDS) or ": user:NAME, group:NAME, serviceaccount:NAMESPACE:NAME"
        )
        raise names.BadName(f"{text!r} names no subject{near}")
    if kind.lower() != "serviceaccount":
        return {"apiGroup": _RBAC, "kind": _KINDS[kind.lower()], "name": name}
    namespace, colon, own = name.partition(":")
    if not colon or not own:
        raise names.BadName(f"{text!r} names no service account: serviceaccount:NAMESPACE:NAME")
    return {"kind": "ServiceAccount", "namespace": names.namespace(namespace), "name": own}


# fmt: off
@click.command()
@click.option("--local", is_flag=True, help="Look at this host alone.")
@with_options(CONNECTION)
@click.option("--session", type=Checked("session", names.session), metavar="NAME",
              default=names.DEFAULT_SESSION, show_default=True, help="Of the session.")
@click.option("nodes", "--node", type=Checked("node", names.node), multiple=True, metavar="NAME",
              help="Agents only on these nodes.")
@click.option("node_labels", "-l", "--node-label", type=Checked("label", names.node_label),
              multiple=True, metavar="LABEL=VALUE", help="Agents only where all of these hold.")
@click.option("image", "--image", type=Checked("image", names.image), metavar="IMAGE",
              help="With the programs; default: the one built here, localhost/netobserv-shell.")
@click.option("--probe", is_flag=True,
              help="Run a pod on each node that tells what its kernel can do, and goes.")
@click.option("--print-role", is_flag=True,
              help="Print what gives somebody the rights that this session takes.")
@click.option("subject", "--subject", type=Checked("subject", _subject), metavar="KIND:NAME",
              help="Who gets them: user:NAME, group:NAME, serviceaccount:NAMESPACE:NAME.")
@click.option("format_", "--format", type=ChoiceWithHint(["text", "json"]),
              metavar="text|json", default="text", help="Of the findings.")
@click.pass_context
def doctor(ctx: click.Context, /, **given: Any) -> None:
    """Say what a session needs here and does not find.

    Exits with 0 when nothing is in the way, 1 when something is, 3 when no cluster
    answers.
    """
    if given["local"]:
        from nshell.cluster.doctor import examine_here

        ctx.exit(_show(examine_here(), given["format_"]))
    ctx.exit(_on_cluster(given))
# fmt: on


def _on_cluster(given: dict[str, Any]) -> int:
    from nshell.cluster.api import WRONG, Api, ApiError
    from nshell.cluster.doctor import Doctor
    from nshell.cluster.manifests import Deployment, default_image

    try:
        plan = Deployment(
            image=given["image"] or default_image(), session=given["session"],
            namespace=given["agent_namespace"] or names.DEFAULT_NAMESPACE,
            nodes=given["nodes"], node_labels=given["node_labels"],
        )  # fmt: skip
    except names.BadName as error:
        return _complain(str(error), Exit.USAGE)
    api = None
    try:
        api = Api.connect(given["kubeconfig"], given["context"])
        examiner = Doctor(api, plan, lambda text: click.echo(f"netobserv: {text}", err=True))
        if given["print_role"]:
            return _print_roles(examiner, given["subject"])
        return _show(examiner.examine(probe=given["probe"]), given["format_"])
    except ApiError as error:
        code = Exit.NO_AGENT if not error.status else Exit.FAILED
        return _complain(str(error), Exit.USAGE if error.reason == WRONG else code)
    finally:
        if api is not None:
            api.close()


def _print_roles(examiner: Doctor, subject: Object | None) -> int:
    import yaml

    who = subject or {"apiGroup": _RBAC, "kind": "User", "name": _SOMEBODY}
    made = examiner.roles(who)
    if subject is None:
        click.echo(f"# Put a name in for {_SOMEBODY}, or ask again with --subject.")
    click.echo("---\n".join(yaml.safe_dump(item, sort_keys=False) for item in made), nl=False)
    return Exit.OK


def _show(report: Report, format_: str) -> int:
    click.echo(report.json() if format_ == "json" else report.text(), nl=False)
    return Exit.FAILED if report.problems else Exit.OK


def _complain(line: str, code: Exit) -> int:
    click.echo(f"netobserv: {line}", err=True)
    return code
