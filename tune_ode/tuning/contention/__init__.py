"""How concurrent trials slow each other down."""
