"""Pure values and decisions: nothing here touches the system."""
