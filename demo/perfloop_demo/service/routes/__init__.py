"""The routes of a multimodal service, one file each."""
