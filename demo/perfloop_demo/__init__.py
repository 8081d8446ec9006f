"""Something real to watch: a multimodal service with faults to inject, and the inbox that receives notifications."""
