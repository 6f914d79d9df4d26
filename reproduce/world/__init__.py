"""A synthetic world: people, facts about them, and tasks."""
