"""Which alerts count, the same for boards, rules and the analyzer."""

from __future__ import annotations

# The watchdog (severity none) always fires: it is the heartbeat. What only informs (info) sends no message.
FIRING_ALERTS = 'ALERTS{alertstate="firing",severity!~"none|info"}'
