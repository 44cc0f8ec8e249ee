"""Sends messages with `apprise`: Slack, Teams, e-mail, PagerDuty, webhooks and many more."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sdg_assets.assets.alerts.alert import Message
from sdg_assets.assets.alerts.state import Undelivered
from sdg_assets.errors import PermanentError

if TYPE_CHECKING:
    from apprise import NotifyBase

VARIABLE = "SDG_ALERTS"
"""Not a field of the settings, because the addresses hold tokens."""
ATTEMPTS = 20
"""With a tick every 30 seconds, a receiver may be away for ten minutes."""


class Receivers:
    """The receivers that `SDG_ALERTS` names, by the fingerprint of their address."""

    def __init__(self, addresses: str) -> None:
        """Reads the addresses.

        Args:
            addresses: URLs of apprise, separated by commas or spaces, or the path of an apprise
                configuration file, whose tags name the owners that a URL belongs to.

        Raises:
            PermanentError: An address is none that apprise knows. The message counts it and does
                not show it.
        """
        import apprise

        self._by_fingerprint: dict[str, NotifyBase] = {}
        is_file = os.path.isfile(addresses)  # noqa: PTH113 – an address may be too long for a path
        parts = [addresses] if is_file else addresses.replace(",", " ").split()
        for number, part in enumerate(parts, start=1):
            notifiers = apprise.Apprise()
            if is_file:
                config = apprise.AppriseConfig()
                readable = config.add(part) and notifiers.add(config)
            else:
                readable = notifiers.add(part)
            servers = list(notifiers) if readable else []
            if not servers:
                what = "the file names no receiver" if is_file else f"address {number} is none"
                raise PermanentError(
                    f"{VARIABLE}: {what} that apprise knows; write e.g. slack://…, mailto://… or "
                    "json://host/path, see docs/operations.md"
                )
            for server in servers:
                address = str(server.url())  # type: ignore[no-untyped-call]
                digest = hashlib.sha256(address.encode()).hexdigest()[:12]
                self._by_fingerprint[digest] = server

    def of(self, owners: Iterable[str]) -> list[str]:
        """The receivers of a message: those without tags, and those tagged with an owner.

        Args:
            owners: E-mail addresses and `team:NAME`; the tag of a team is its name.
        """
        tags = {owner.removeprefix("team:") for owner in owners}
        return [
            fingerprint
            for fingerprint, server in self._by_fingerprint.items()
            if not server.tags or tags & set(server.tags)
        ]

    def deliver(self, message: Undelivered) -> list[str]:
        """Sends a message to its receivers.

        Returns:
            Fingerprints of the receivers that did not take it. A receiver that is no longer named
            is left out.
        """
        import apprise

        failed = []
        for fingerprint in message.receivers:
            server = self._by_fingerprint.get(fingerprint)
            if server is None:
                continue
            one = apprise.Apprise()
            one.add(server)
            taken = one.notify(
                body=message.body,
                title=message.title,
                notify_type=apprise.NotifyType(message.severity),
                body_format=apprise.NotifyFormat.TEXT,
            )
            if not taken:
                failed.append(fingerprint)
        return failed


def queue(message: Message, receivers: Sequence[str]) -> Undelivered:
    """A message on its way to receivers."""
    return Undelivered(
        title=message.title,
        body=message.body,
        severity=message.severity,
        receivers=list(receivers),
    )
