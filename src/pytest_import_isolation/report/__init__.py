"""The leak report: records are data; judging makes them, merging and rendering read them."""
