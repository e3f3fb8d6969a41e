"""Commands that are imported when they run, so that ``--help`` stays fast."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from deid.errors import PluginError

if TYPE_CHECKING:
    from deid.plugin.contracts import BenchPlugin, CommandPlugin
    from deid.plugin.host import PluginHost

__all__ = ["BenchGroup", "LazyCommand", "PluginGroup"]


class LazyCommand(click.Command):
    """Stands for the click command ``target`` (``module:attribute``) of ``owner``, a package.

    :class:`PluginError` where it cannot be imported, when it is used.
    """

    def __init__(self, name: str, help_text: str, target: str, owner: str) -> None:
        super().__init__(name, help=help_text, short_help=help_text)
        self._target = target
        self._owner = owner

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of the real command; click goes on with that one."""
        return self._load().make_context(info_name, args, parent, **extra)

    def _load(self) -> click.Command:
        module, _, attribute = self._target.partition(":")
        try:
            command = getattr(import_module(module), attribute)
        except (Exception, SystemExit) as error:  # foreign code: whatever it raises, we say whose
            lines = str(error).strip().splitlines() or [""]
            reason = f"{type(error).__name__}: {lines[0]}"
            raise PluginError(
                self._owner, f"command {self.name!r} cannot be imported: {reason}"
            ) from error
        if not isinstance(command, click.Command):
            expected = f"{self._target} to be a click command"
            raise PluginError(
                self._owner, f"command {self.name!r}: expected {expected}, got {command!r:.80}"
            )
        return command


class PluginGroup(click.Group):
    """A group whose own commands come first and whose others are what plugins register.

    A plugin cannot take the name of an own command.
    """

    def offers(self, host: PluginHost) -> Sequence[CommandPlugin | BenchPlugin]:
        """What plugins add to this group."""
        return host.commands()

    def list_commands(self, ctx: click.Context) -> list[str]:
        foreign = {offer.name for offer in self.offers(self._host(ctx))}
        return [*self.commands, *sorted(foreign - set(self.commands))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = self.commands.get(cmd_name)
        if own is not None:
            return own
        host = self._host(ctx)
        for offer in self.offers(host):
            if offer.name == cmd_name:
                return LazyCommand(offer.name, offer.help, offer.target, host.package_of(offer))
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            faults = self._host(ctx).faults
            if not faults:
                raise
            lines = [error.message, *(f"  not loaded: {fault}" for fault in faults)]
            raise click.UsageError("\n".join(lines), ctx) from None

    def _host(self, ctx: click.Context) -> PluginHost:
        """The plugins, loaded once a context."""
        from deid.plugin.host import PluginHost

        host = ctx.meta.get(__name__)
        if not isinstance(host, PluginHost):
            host = ctx.meta[__name__] = PluginHost()
        return host


class BenchGroup(PluginGroup):
    """The benchmarks that plugins register."""

    def offers(self, host: PluginHost) -> Sequence[CommandPlugin | BenchPlugin]:
        return host.benches()
