"""What people should look at, and how far they agree: queue, suspect labels, agreement (docs/retraining.md)."""
