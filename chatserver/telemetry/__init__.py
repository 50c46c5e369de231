"""What operators see: log lines, figures for Prometheus, and how late the event loop is."""
