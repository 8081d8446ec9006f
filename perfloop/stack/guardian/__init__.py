"""The guardian: what supervisord cannot do for the components, and for itself.

supervisord starts a component again when its process ends. The guardian, an event listener of supervisord, does the
rest:

- a component that hangs is ended, so that it is started again (hangs.py), and somebody is notified (incidents.py);
- one that supervisord has given up, or that was never started, is started again, with longer and longer pauses;
- data that a component cannot read is moved aside (corruption.py);
- why a component ended is written into its log, and how often is counted (ends.py);
- a supervisord that hangs is ended, and one that ended without `perfloop down` is brought back (resurrection.py).

Nothing that it meets ends it: a full disk, a broken record, a component that answers nonsense. Should it hang itself,
a process of its own ends it (pulse.py), and supervisord starts it again.
"""
