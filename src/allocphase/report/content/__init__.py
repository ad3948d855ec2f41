"""What a report shows, before it is drawn or printed anywhere."""
