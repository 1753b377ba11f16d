"""What a finished or running run came to: tables, figures, gallery."""
