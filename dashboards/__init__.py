"""Grafana's dashboards: one file a question, and what writes them for Grafana."""
