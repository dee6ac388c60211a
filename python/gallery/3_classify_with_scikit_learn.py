# %% [markdown]
# # Classes of whole series, the way of scikit-learn
#
# A case is a stretch of two channels; the classes differ in the order of two bumps. The estimator of `ptsm.sklearn` goes
# wherever one of scikit-learn goes: cross-validation, pipelines, searches.

# %%
import os

import numpy as np
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import cross_val_predict, train_test_split

from ptsm.sklearn import PatchTSMixerClassifier

CASES = int(os.environ.get("GALLERY_CASES", "200"))
random = np.random.default_rng(1)
step = np.arange(64)
early, late = random.uniform(10, 22, CASES), random.uniform(40, 54, CASES)
bump = np.exp(-(((step - early[:, None]) / 4) ** 2)) - np.exp(-(((step - late[:, None]) / 4) ** 2))
y = np.where(random.random(CASES) < 0.5, "up first", "down first")
sign = np.where(y == "up first", 1.0, -1.0)[:, None]
X = np.stack([sign * bump, np.abs(bump)], axis=1) + random.normal(0, 0.2, (CASES, 2, 64))
print("cases, channels, steps:", X.shape)

# %% A small network; without `options` and with a larger budget settings are searched.
classifier = PatchTSMixerClassifier(budget=1, options={"d_model": 16, "epochs": 20}, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
classifier.fit(X_train, y_train)
print(f"right on cases that were not trained on: {classifier.score(X_test, y_test):.2f}")

# %% Every case, by a classifier that has not seen it.
found = cross_val_predict(classifier, X, y, cv=3)
print(confusion_matrix(y, found, labels=["down first", "up first"]))
assert set(found) <= set(y)
