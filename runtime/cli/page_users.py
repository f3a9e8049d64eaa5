"""patchedge page user, patchedge page token: people and programs that may use the page."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_config.settings.page import PageSettings
    from runtime.page.users.register import Role

_ROLES = "viewer: may see everything; operator: may also change something (default: viewer)"


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Declare both actions and their arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    user = _add(actions, "user", "add or remove a user, change a password, or list users")
    tasks = ("add", "password", "remove", "list")
    user.add_argument("what", choices=tasks, metavar="WHAT", help="what to do; a password is asked for")
    token = _add(actions, "token", "add a token for a program, which is printed once, remove one, or list them")
    token.add_argument("what", choices=("add", "remove", "list"), metavar="WHAT", help="what to do")
    for action in (user, token):
        action.add_argument("name", nargs="?", metavar="NAME", help="name of the user or of the token")
        action.add_argument("--role", choices=("viewer", "operator"), help=_ROLES)


def run(args: argparse.Namespace, settings: PageSettings) -> int:
    """Do it, and print what was done.

    Args:
        args: the arguments.
        settings: of the page, which say where the users are.
    """
    from edge_config.errors import UsageError
    from runtime.page.folder import page_folder
    from runtime.page.users import manage
    from runtime.page.users.register import users_path

    if (args.name is None) != (args.what == "list"):
        remedy = f"patchedge page {args.action} {args.what} {'NAME' if args.name is None else ''}".rstrip()
        raise UsageError("a name is missing" if args.name is None else "`list` takes no name", remedy=remedy)
    if args.role is not None and args.what != "add":
        raise UsageError("--role goes with `add` alone", remedy="remove the user, and add it with another role")
    path = users_path(settings.access, page_folder(settings))
    name, role = str(args.name), _role(args)
    match args.action, args.what:
        case "user", "add":
            print(manage.add_user(path, name, role, ask_password))
        case "user", "password":
            print(manage.set_password(path, name, ask_password))
        case "user", "remove":
            print(manage.remove_user(path, name))
        case "user", _:
            print("\n".join(manage.list_users(path)) or f"no users in {path}")
        case _, "add":
            print(manage.add_token(path, name, role))
            print(f"{name}: added as {role} to {path}; keep the token, it is not shown again", file=sys.stderr)
        case _, "remove":
            print(manage.remove_token(path, name))
        case _:
            print("\n".join(manage.list_tokens(path)) or f"no tokens in {path}")
    return 0


def ask_password() -> str:
    """Return a password: typed twice on a terminal, or the first line of standard input.

    Raises:
        UsageError: the two differ.
    """
    from edge_config.errors import UsageError
    from runtime.page.users.passwords import MIN_LENGTH

    if sys.stdin is None or not sys.stdin.isatty():
        return sys.stdin.readline().removesuffix("\n") if sys.stdin else ""
    from getpass import getpass

    first = getpass(f"password, at least {MIN_LENGTH} characters: ")
    if getpass("once more: ") != first:
        raise UsageError("the two passwords differ", remedy="try again")
    return first


def _add(actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, said: str) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=said, description=said)


def _role(args: argparse.Namespace) -> Role:
    return "operator" if args.role == "operator" else "viewer"
