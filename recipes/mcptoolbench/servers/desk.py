"""A desk as an MCP server, with the Python SDK: contacts, a calendar, units. Each process begins anew."""

from typing import TypedDict

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)

CONTACTS = {
    "Ada Moreau": ("ada@example.org", "Lyon"),
    "Bilal Haddad": ("bilal@example.org", "Amman"),
    "Chen Rui": ("rui@example.org", "Chengdu"),
    "Dora Lindt": ("dora@example.org", "Basel"),
    "Eko Wibowo": ("eko@example.org", "Bandung"),
}
METRES = {"m": 1.0, "km": 1000.0, "mile": 1609.344, "foot": 0.3048, "inch": 0.0254}

server = MCPServer("desk")
events: dict[str, list[str]] = {"2026-03-02": ["Budget review"], "2026-03-05": ["Dentist", "Choir"]}


class Contact(TypedDict):
    name: str
    email: str
    city: str


@server.tool(annotations=READS)
def find_contact(name: str) -> Contact:
    """E-mail address and city of a person. `name` is the whole name."""
    for known, (email, city) in CONTACTS.items():
        if known.casefold() == name.strip().casefold():
            return {"name": known, "email": email, "city": city}
    raise ToolError(f"nobody is called {name}; there are {', '.join(CONTACTS)}")


@server.tool(annotations=READS)
def list_events(day: str) -> dict[str, list[str]]:
    """Titles of a day's events. `day` is like 2026-03-05."""
    return {"events": events.get(day, [])}


@server.tool(annotations=ADDS)
def add_event(day: str, title: str) -> dict[str, list[str]]:
    """Put an event on a day, and see the day's events. `day` is like 2026-03-05."""
    events.setdefault(day, []).append(title)
    return {"events": events[day]}


@server.tool(annotations=READS)
def convert_length(amount: float, from_unit: str, to_unit: str) -> dict[str, float]:
    """A length in another unit: m, km, mile, foot or inch."""
    for unit in (from_unit, to_unit):
        if unit not in METRES:
            raise ToolError(f"there is no unit {unit}; there are {', '.join(METRES)}")
    return {"amount": amount * METRES[from_unit] / METRES[to_unit]}


server.run()
