"""Data links: from a figure, a series or a cell to the board, page or runbook that explains it, at the same time."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as dash

TIME = "${__url_time_range}"


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click on a value leads; the address may name Grafana's variables, such as `${__field.labels.service}`."""

    title: str
    url: str
    new_tab: bool = False

    def build(self) -> dash.DashboardLink:
        """Return it as Grafana's builder."""
        return dash.DashboardLink(self.title).url(self.url).target_blank(target_blank=self.new_tab)

    def as_override(self) -> dict[str, str | bool]:
        """Return it as the value of a field override."""
        return {"title": self.title, "url": self.url, "targetBlank": self.new_tab}


def of_label(label: str) -> str:
    """Return Grafana's reference to a label of the series that was clicked."""
    return f"${{__field.labels.{label}}}"


def of_cell(heading: str) -> str:
    """Return Grafana's reference to the cell under a heading in the row that was clicked."""
    return f'${{__data.fields["{heading}"]}}'


def of_choice(variable: str) -> str:
    """Return what is chosen in a variable of the board, for the query of an address: `var-service=a&var-service=b`."""
    return f"${{{variable}:queryparam}}"


CLICKED = "${__value.raw}"  # the clicked cell's value; of_cell() gives what a cell shows, which words may have replaced


def to_board(title: str, uid: str, *choices: str, **variables: str) -> Link:
    """Return the link to a board over the same time.

    Args:
        title: what the click opens, such as `Open the Service board`.
        uid: the board.
        choices: variables of this board that the other one has too, under the same name and with the same meaning.
        variables: further variables of the other board, with a value or a reference to one.
    """
    parts = [TIME, *map(of_choice, choices), *(f"var-{name}={value}" for name, value in variables.items())]
    return Link(title, f"/d/{uid}?{'&'.join(parts)}")


def to_runbook(alert: str) -> Link:
    """Return the link to an alert's section of the runbook, which Prometheus serves."""
    return Link("Open the runbook", f"${{prometheus_url}}/user/runbook.html#{alert}", new_tab=True)


def to_silence(**labels: str) -> Link:
    """Return the link to a silence of the alerts with these labels: the inbox's page, as in messages.

    Not to Alertmanager's own: Debian's build has none.
    """
    filtered = "%2C%20".join(f"{name}%3D%22{value}%22" for name, value in labels.items())
    return Link("Silence it", f"${{inbox_url}}/silences/new?filter=%7B{filtered}%7D", new_tab=True)
