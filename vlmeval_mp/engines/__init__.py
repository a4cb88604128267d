"""What turns a request into a completion: one file or folder per engine, one table that names them."""
