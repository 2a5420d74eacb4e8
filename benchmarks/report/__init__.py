"""Reports: tables, figures and templates."""
