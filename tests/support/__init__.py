"""What tests share: helpers, tables of workers, programs under test."""
