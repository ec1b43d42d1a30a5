"""What a run is bound to, leaves behind and tells of itself."""
