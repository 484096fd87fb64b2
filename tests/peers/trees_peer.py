"""Trees: whole fits and scoring here, in XGBoost and in scikit-learn, one core, the same rows.

    trees_peer.py BUILD FOLDER

XGBoost: 100 rounds, the histogram method, its defaults otherwise, its histograms made anew in each fit, as ours.
scikit-learn: 100 trees of depth 10, its defaults otherwise; one tree serves all classes, ours one each.
"""
import sys

import numpy as np
import xgboost
from sklearn.ensemble import RandomForestClassifier

from alternate import Ours, compare, timed
from rows import clouds, save

ROWS, SCORED, ROUNDS = 6000, 8192, 100
BOOSTING = {"objective": "multi:softprob", "num_class": 3, "tree_method": "hist", "nthread": 1}


def boosted(x, y):
    return xgboost.train(BOOSTING, xgboost.DMatrix(x, y, nthread=1), ROUNDS)


def forest(x, y):
    return RandomForestClassifier(100, max_depth=10, n_jobs=1, random_state=1).fit(x, y)


def batches(predict, x, batch):
    state = {"at": 0}

    def step():
        if state["at"] + batch > len(x):
            state["at"] = 0
        predict(x[state["at"]:state["at"] + batch])
        state["at"] += batch
        return batch
    return timed(step)


def main():
    build, folder = sys.argv[1:3]
    rng = np.random.default_rng(3)
    x, y = clouds(ROWS, rng)
    at, _ = clouds(SCORED, rng)
    save(folder, hlf=x, y=y, at=at)
    fits = {"gradient-boosting": ("XGBoost", lambda: boosted(x, y)), "random-forest": ("scikit-learn", lambda: forest(x, y))}
    for name, (peer, fit) in fits.items():
        def step(run=fit):
            run()
            return ROWS
        ours = Ours(build, "fit", folder, name)
        short = name.replace("-", "_")
        compare("trees", f"fit_{short}", ours, peer, timed(step))
        ours.close()
        trained = fit()
        predict = trained.inplace_predict if name == "gradient-boosting" else trained.predict_proba
        if name == "gradient-boosting":
            trained.set_param({"nthread": 1})
        for batch in (1, 1024):
            ours = Ours(build, "score", folder, name, batch)
            compare("trees", f"score_{short}_{batch}", ours, peer, batches(predict, at, batch))
            ours.close()


main()
