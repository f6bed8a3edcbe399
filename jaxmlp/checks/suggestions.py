"""Turns a name that there is not into ours, also from the names that other libraries use."""

import difflib
from collections.abc import Iterable

# What PyTorch, Keras, Flax, scikit-learn and others call what ours is; without case and "_".
_FOREIGN: dict[str, dict[str, str]] = {
    "jaxmlp": {
        "Batch": "minibatch",
        "CheckpointError": "",
        "Checkpoints": "modelcheckpoint checkpointmanager checkpointer checkpoint",
        "DataLoader": "dataset tensordataset loader dataloaders dataiterator batchiterator",
        "Dense": "linear layers",
        "FitResult": "history result results",
        "MLPConfig": (
            "mlp mlpclassifier mlpregressor sequential module model network net config nn "
            "multilayerperceptron feedforward neuralnetwork perceptron classifier regressor"
        ),
        "Standardization": "normalization",
        "TrainState": "state trainingstate",
        "WeightedSampler": "weightedrandomsampler",
        "apply": "forward call inference transform",
        "evaluate": "score validate test evaluatemodel",
        "predict": "predictproba predictions predictonbatch",
        "class_weights": "classweight computeclassweight computesampleweight",
        "ensembles": "ensemble",
        "fit": "train trainer trainloop compile partialfit fitresume run",
        "fit_members": "baggingclassifier baggingregressor votingclassifier trainmany fitmany",
        "init_params": "init initialize initparameters initialise build",
        "init_state": "createtrainstate createstate inittrainstate",
        "intermediates": "captureintermediates hooks activationsof",
        "load": "loadmodel loadweights loadparams fromfile frompretrained restore",
        "load_state": "loadstatedict restorestate loadcheckpoint restorecheckpoint",
        "losses": "loss criterion criteria objectives",
        "make_loss": "lossfn lossfunction makelossfn compileloss",
        "make_train_step": "trainstep step update trainonbatch trainingstep",
        "metrics": "metric scorers",
        "save": "savemodel saveweights saveparams tofile dump savepretrained",
        "save_state": "statedict savecheckpoint",
        "search": (
            "gridsearchcv randomizedsearchcv halvinggridsearchcv gridsearch randomsearch tuner "
            "crossvalscore crossvalidate hyperband"
        ),
        "summary": "tabulate countparams countparameters modelsummary",
        "train_test_split": "randomsplit traintestsplit split",
        "with_standardization": "standardscaler scaler normalize standardize batchnorm batchnorm1d",
    },
    "losses": {
        "absolute_error": "mae maeloss l1 l1loss meanabsoluteerror absoluteloss",
        "gaussian": "gaussiannll gaussiannllloss gaussiannegativeloglikelihood",
        "gaussian_parameters": "",
        "hinge": "hingeloss hingeembeddingloss",
        "huber": "huberloss smoothl1 smoothl1loss",
        "poisson": "poissonloss poissonnll poissonnllloss",
        "quantile": "pinball pinballloss quantileloss meanpinballloss",
        "sigmoid_binary_cross_entropy": (
            "bce bceloss bcewithlogits bcewithlogitsloss binarycrossentropy sigmoidcrossentropy "
            "binarycrossentropywithlogits binarylogloss"
        ),
        "softmax_cross_entropy": (
            "crossentropy crossentropyloss categoricalcrossentropy sparsecategoricalcrossentropy "
            "nll nllloss softmaxcrossentropywithintegerlabels softmaxcrossentropyloss ce"
        ),
        "squared_error": "mse mseloss meansquarederror l2 l2loss squaredloss squarederrorloss",
    },
    "metrics": {
        "accuracy": (
            "acc accuracyscore binaryaccuracy categoricalaccuracy sparsecategoricalaccuracy "
            "multiclassaccuracy"
        ),
        "balanced_accuracy": "balancedaccuracyscore",
        "calibration_error": "ece expectedcalibrationerror brier",
        "confusion_matrix": "confmat confusion multiclassconfusionmatrix",
        "f1": "f1score fscore fbeta fbetascore",
        "log_loss": "nll crossentropy negloglikelihood neglogloss",
        "mae": "meanabsoluteerror absoluteerror l1 negmeanabsoluteerror",
        "precision": "precisionscore",
        "r2": "r2score rsquared explainedvariance",
        "recall": "recallscore sensitivity",
        "rmse": "mse meansquarederror rootmeansquarederror squarederror negmeansquarederror",
        "roc_auc": "auc auroc rocaucscore rocauc",
        "top_k_accuracy": "topk topkaccuracyscore topkcategoricalaccuracy top5accuracy",
    },
    "activations": {
        "gelu": "gelunew gelutanh gelupytorchtanh",
        "gelu_exact": "geluerf exactgelu",
        "identity": "linear none",
        "leaky_relu": "lrelu",
        "relu": "rectifier rectified",
        "sigmoid": "logistic expit",
        "silu": "swish1 swishactivation",
        "tanh": "hyperbolictangent",
        **dict.fromkeys(("elu", "celu", "selu", "mish", "softplus", "soft_sign", "glu"), ""),
    },
    "ensembles": {
        "Halving": "halvingrandomsearchcv successivehalving",
        "bootstrap_weights": "bootstrap bagging resample",
        "draw_candidates": "parametersampler",
        "fold_weights": "kfold stratifiedkfold folds",
        "grid": "parametergrid",
        "integers": "randint",
        "log_uniform": "loguniform reciprocal",
        "majority_vote": "vote votingclassifier",
        "mean_probabilities": "average",
        "select_greedily": "caruana",
    },
    "sources": {
        "arrow": "feather fromarrow",
        "batches": "dataloader iterable",
        "csv": "readcsv loadcsv fromcsv",
        "npy": "memmap loadnpy loadtxt",
        "parquet": "readparquet fromparquet",
    },
    "plot": {
        "plot_calibration": "reliabilitydiagram calibrationcurve calibrationdisplay",
        "plot_confusion": "plotconfusionmatrix confusionmatrix confusionmatrixdisplay heatmap",
        "plot_decision_regions": (
            "plotdecisionboundary decisionboundary decisionboundarydisplay plotboundary regions"
        ),
        "plot_history": (
            "plotcurves plotloss plotlosses plotlearningcurve learningcurve plottraining plotfit "
            "plotmetrics plotmembers history"
        ),
        "plot_layers": "plotactivations plotgradients plotintermediates histograms layers",
        "plot_search": "plot search plotresults plotresult plotgrid visualize",
        "plot_weights": "plotkernels plotparams plotbiases weights",
    },
    "optax": {
        "adam": "",
        "adamw": "",
        "sgd": "momentum gradientdescent",
        **dict.fromkeys(("rmsprop", "adagrad", "lion", "lamb", "nadam", "lbfgs", "adamax"), ""),
    },
}
_SHOWN = {
    "jaxmlp": "jaxmlp.{}",
    "losses": "jaxmlp.losses.{}",
    "metrics": "jaxmlp.metrics.{}",
    "activations": "MLPConfig(activation='{}')",
    "plot": "jaxmlp.plot.{}",
    "ensembles": "jaxmlp.ensembles.{}",
    "sources": "jaxmlp.sources.{}",
    "optax": "optax.{}(learning_rate)",
}

# Settings of other libraries: of ours the first that a function has, or else where to say it.
_IN_LOADER = "DataLoader({}=...), which cuts and shuffles the data"
_SETTINGS: dict[str, tuple[str, ...]] = {
    "lr learningrate learningrateinit stepsize": ("optax.adam(learning_rate), the optimizer",),
    "scheduler lrscheduler schedule": ("the optimizer: optax.adam(a schedule of optax)",),
    "weightdecay alpha l2": ("optax.adamw(..., weight_decay=..., mask=jaxmlp.kernel_mask)",),
    "clipnorm maxgradnorm gradientclipval clip": (
        "optax.chain(optax.clip_by_global_norm(1.0), optimizer)",
    ),
    "optim solver opt": ("optimizer",),
    "callbacks callback onepochend": ("on_epoch",),
    "batchsize batch": ("batch_size", _IN_LOADER.format("batch_size")),
    "shuffle": ("shuffle", _IN_LOADER.format("shuffle")),
    "verbose progressbar enableprogressbar": ("progress",),
    "validationdata valdata valloader evalset validationset val evaldata validationfraction "
    "validationsplit valdataloaders": ("validation",),
    "earlystopping niternochange earlystoppingrounds": ("patience",),
    "tol delta": ("min_delta",),
    "maxiter numepochs nepochs maxepochs epoch numtrainepochs": ("epochs",),
    "randomstate rng rngs prngkey generator": ("key", "seed"),
    "seed": ("key", "seed"),
    "scoring metric": ("monitor", "metrics"),
    "metrics": ("metrics", "make_loss(config, criterion, metrics={...})"),
    "loss lossfunction criterion objective": ("loss_fn", "loss", "criterion"),
    "model module network architecture": ("config", "params"),
    "accumulategradbatches gradientaccumulationsteps everyk": ("accumulate_steps",),
    "ema emarate polyak": ("ema_decay",),
    "swa": ("swa_start",),
    "checkpointdir ckptpath checkpoints defaultrootdir outputdir": ("checkpoint",),
    "resumefromcheckpoint resumefrom": ("resume",),
    "classweight classweights": ("weight", "DataLoader(weight=jaxmlp.class_weights(y))"),
    "sampleweight sampleweights weights": ("weight", "DataLoader(x, y, weight)"),
    "xtrain inputs dataset features": ("x", "data", "hidden_features"),
    "ytrain labels targets": ("y", "data"),
    "data": ("data", "x"),
    "device devices accelerator": ("jax.default_device, since arrays lie where JAX puts them",),
    "hiddenlayersizes hiddensizes hiddendims hiddendim layers widths hidden units layersizes "
    "hiddenunits hiddensize hiddenchannels": ("hidden_features",),
    "indim inputdim inputsize nin ninputs inchannels inputshape infeature": ("in_features",),
    "outdim outputdim outputsize nout noutputs numclasses nclasses classes outchannels": (
        "out_features",
    ),
    "dropout droprate p rate dropoutprob": ("dropout_rate",),
    "bias": ("use_bias",),
    "nonlinearity activationfn act activationfunction hiddenactivation activations": (
        "activation",
    ),
    "finalactivation outactivation lastactivation outputactivationfn": ("output_activation",),
    "batchnorm normalization normlayer layernorm usebatchnorm normalisation": ("norm",),
    "kernelinitializer initializer weightinit init winit": ("kernel_init",),
    "dtype paramsdtype": ("param_dtype",),
    "precision mixedprecision": ("compute_dtype",),
    "skip skipconnections residuals": ("residual",),
    "numworkers pinmemory prefetchfactor persistentworkers": (
        "Leave it out: rows of files are read ahead in a thread",
    ),
    "collatefn map": ("transform",),
    "paramgrid paramdistributions paramspace": ("candidates",),
    "cv kfold nfolds": ("folds",),
    "niter ntrials": ("draw_candidates(space, candidates=..., seed=...)",),
    "njobs": ("threads",),
}
_SETTING_OF = {name: ours for names, ours in _SETTINGS.items() for name in names.split()}


def did_you_mean(
    name: str,
    known: Iterable[str],
    home: str,
    *,
    is_value: bool = False,
) -> str:
    """Returns " Did you mean ...?", or nothing where no name is near.

    Args:
        name: What there is not.
        known: Names that there are, to which one with a slip of the pen is compared.
        home: The part of jaxmlp whose names come first: "jaxmlp", "losses", "metrics",
            "activations", "ensembles", "sources" or "plot".
        is_value: Whether it is the value of an argument: what is suggested is one of `known`, in
            quotes.
    """
    known, wanted = list(known), _plain(name)

    def ask(found: str) -> str:
        return f" Did you mean {found}?"

    def show(ours: str) -> str:
        return repr(ours) if is_value else _SHOWN.get(home, "{}").format(ours)

    for ours in known:
        if _plain(ours) == wanted:
            return ask(show(ours))
    for part in dict.fromkeys((home,) if is_value else (home, *_FOREIGN)):
        for ours, names in _FOREIGN.get(part, {}).items():
            if wanted != _plain(ours) and wanted not in names.split():
                continue
            if part != home:
                return ask(_SHOWN[part].format(ours))
            if not known or ours in known:
                return ask(show(ours))
    near = difflib.get_close_matches(name, known, 1)
    return ask(show(near[0])) if near else ""


def foreign_setting(name: str, known: Iterable[str]) -> str:
    """Returns a sentence that says which setting was meant, or nothing.

    Args:
        name: The setting that there is not.
        known: The settings that there are.
    """
    known, ours = tuple(known), _SETTING_OF.get(_plain(name), ())
    same = [each for each in known if _plain(each) == _plain(name)]
    fitting = [each for each in ours if each in known]
    near = difflib.get_close_matches(name, known, 1)
    if found := same or fitting or near:
        return f" Did you mean {found[0]!r}?"
    told = [each for each in ours if not each.isidentifier()]
    if not told:
        return ""
    return f" {told[0]}." if told[0].startswith("Leave") else f" Use {told[0]}."


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")
