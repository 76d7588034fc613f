"""What every pattern needs and none is about: settings, errors, logs, metrics, the app factory, the model artefact."""
