"""Networks: who has which address, what is published, and what a start needs of both."""
