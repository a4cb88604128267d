"""Answers read as a benchmark's own authors read them, where their rule needs no judge or says where it asks one."""
