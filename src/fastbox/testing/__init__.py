"""fastbox in test frameworks."""
