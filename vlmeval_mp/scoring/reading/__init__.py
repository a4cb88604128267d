"""What a reply's text says: numbers, words, letters, phrases."""
