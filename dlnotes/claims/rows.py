"""The rows of the notes: what each says, where it is printed, and what of it exists here."""

from __future__ import annotations

from typing import Literal, NamedTuple

SECTIONS = {
    "F1": "Las redes neuronales artificiales: funcionamiento básico",
    "F2": "Las redes neuronales artificiales: aprendizaje basado en el descenso de gradiente",
    "F3": "Las redes neuronales artificiales: unidades escondidas",
    "F4": "Las redes neuronales artificiales: diseño de la arquitectura",
    "F5": "Las redes neuronales artificiales: back-propagation",
    "C6": "Las redes neuronales convolucionales: operación de convolución y agrupación",
    "C7": "Las redes neuronales convolucionales: variantes, datos y algoritmos",
    "R8": "Las redes neuronales secuenciales: redes recurrentes",
    "R9": "Las redes neuronales secuenciales: arquitecturas recurrentes",
    "R10": "Las redes neuronales secuenciales: redes bidireccionales y arquitecturas de codificación-descodificación",  # noqa: E501
    "R11": "Las redes neuronales secuenciales: profundidad y recursividad",
    "R12": "Las redes neuronales secuenciales: largo plazo, echo states y unidades leaky",
    "L13": "Las aplicaciones del aprendizaje profundo: aprendizaje profundo a gran escala",
    "P14": "El aprendizaje de representación: pre-entrenamiento",
}
"""Chapter of a row's id → the notes' own title of the section that holds it."""


class Row(NamedTuple):
    """One row.

    Attributes:
      id: chapter and number.
      title: what it is about, or what the notes claim.
      kind: "claim" where an experiment has to decide, else "code".
      functions: dotted names that implement it, complete or in part.
      tests: files that hold them against an oracle.
      config: the run that measures a claim, ``None`` while there is none.
      built: whether all that the row asks for stands.
    """

    id: str
    title: str
    kind: Literal["code", "claim"]
    functions: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    config: str | None = None
    built: bool = False

    @property
    def section(self) -> str:
        """The notes' title of the section that holds the row, "" for a claim of your own."""
        return SECTIONS.get(self.id.split(".")[0], "")


def _code(id: str, title: str, functions: str = "", tests: str = "", *, built: bool = False) -> Row:
    return Row(id, title, "code", _names(functions), _files(tests), built=built)


def _claim(id: str, title: str, functions: str = "", tests: str = "", *, config: str | None = None) -> Row:
    """A claim; it is built once a config measures it."""
    return Row(id, title, "claim", _names(functions), _files(tests), config, built=config is not None)


def _names(text: str) -> tuple[str, ...]:
    return tuple(f"dlnotes.{name}" for name in text.split())


def _files(text: str) -> tuple[str, ...]:
    return tuple(f"tests/{name}.py" for name in text.split())


ROWS: tuple[Row, ...] = (
    _code("F1.1", "Networks as chains and as graphs of layers", "models.mlp models.linear models.graph",
          "models/feedforward/test_mlp models/feedforward/test_graph", built=True),
    _claim("F1.2", "Linear models on XOR", "models.linear data.xor",
           "experiments/feedforward/test_xor_linear", config="configs/claims/F1.2_xor_linear.toml"),
    _claim("F1.3", "XOR by two ReLU units with weights set by hand", "models.mlp layers.relu",
           "models/feedforward/test_mlp", config="configs/claims/F1.3_xor_by_hand.toml"),
    _claim("F1.4", "Gradient descent on XOR from many starts", "models.graph data.xor",
           "experiments/feedforward/test_xor_starts", config="configs/claims/F1.4_xor_starts.toml"),
    _claim("F1.5", "Generic, hand-made and learned feature maps", "models.mlp models.linear",
           "experiments/feedforward/test_feature_maps", config="configs/claims/F1.5_feature_maps.toml"),
    _claim("F1.6", "The kernel trick: features, inner products, random features",
           "layers.rbf_kernel layers.polynomial_kernel layers.polynomial_features layers.primal_ridge "
           "layers.dual_ridge layers.init_fourier_features layers.fourier_features layers.fourier_deviation",
           "layers/feedforward/test_kernels experiments/feedforward/test_claims_f1",
           config="configs/claims/F1.6_kernel_trick.toml"),
    _claim("F2.1", "Convex and non-convex training from many starts",
           "models.linear models.mlp outputs.hinge training.normal_equations training.qr_least_squares",
           "outputs/test_losses training/test_linear experiments/feedforward/test_claims_f2",
           config="configs/claims/F2.1_convex_starts.toml"),
    _code("F2.2", "Losses as the negative log of a distribution",
          "outputs.Normal outputs.DiagonalNormal outputs.FullNormal outputs.Laplace outputs.Mixture "
          "outputs.Bernoulli outputs.Categorical outputs.likelihood outputs.unit "
          "outputs.shared_precision outputs.FullMixture outputs.full_mixture",
          "outputs/test_distributions outputs/test_continuous outputs/test_units outputs/test_losses "
          "outputs/test_full_mixture",
          built=True),
    _claim("F2.3", "Gaussian likelihood and mean squared error",
           "outputs.gaussian_nll outputs.squared_error", "outputs/test_losses",
           config="configs/claims/F2.3_gaussian_mse.toml"),
    _claim("F2.4", "Likelihoods with and without a bound",
           "outputs.Normal outputs.binary_cross_entropy", "experiments/feedforward/test_output_claims",
           config="configs/claims/F2.4_unbounded_likelihood.toml"),
    _claim("F2.5", "What squared and absolute error learn, and how they train",
           "outputs.squared_error outputs.absolute_error outputs.pinball outputs.cost_functional "
           "outputs.functional_minimum",
           "outputs/test_losses outputs/test_identities experiments/feedforward/test_output_claims",
           config="configs/claims/F2.5_mean_and_median.toml"),
    _claim("F2.6", "The linear output unit as a Gaussian's mean",
           "outputs.Normal layers.dense models.linear",
           "outputs/test_distributions layers/feedforward/test_dense",
           config="configs/claims/F2.6_linear_unit.toml"),
    _claim("F2.7", "Binary outputs: log-likelihood, squared error, clipping",
           "outputs.Bernoulli outputs.binary_cross_entropy outputs.brier outputs.clipped_linear_nll "
           "outputs.logit outputs.complement outputs.sigmoid_slope",
           "outputs/test_losses outputs/test_identities", config="configs/claims/F2.7_binary_outputs.toml"),
    _claim("F2.8", "Softmax: stability, frequencies, and squared error",
           "outputs.Categorical outputs.cross_entropy outputs.brier outputs.above_maximum "
           "outputs.strongest_wrong_share outputs.tempered_softmax outputs.argmax_error_bound",
           "outputs/test_losses outputs/test_identities experiments/feedforward/test_output_claims",
           config="configs/claims/F2.8_softmax_outputs.toml"),
    _claim("F2.9", "Learned variance: shared, by input, diagonal, full",
           "outputs.DiagonalNormal outputs.FullNormal outputs.heteroscedastic outputs.full_covariance "
           "outputs.heteroscedastic_nll outputs.full_covariance_nll",
           "outputs/test_continuous outputs/test_units experiments/feedforward/test_learned_variance",
           config="configs/claims/F2.9_learned_variance.toml"),
    _claim("F2.10", "Mixture densities for questions with several answers",
           "outputs.Mixture outputs.mixture outputs.mixture_nll training.optimizer outputs.mixture_gradients "
           "outputs.scaled_mixture_nll outputs.scale_gradient",
           "outputs/test_continuous outputs/test_units outputs/test_identities "
           "experiments/feedforward/test_mixture_density",
           config="configs/claims/F2.10_mixture_density.toml"),
    _claim("F2.11", "Linear models on very large sets, by descent and by solvers",
           "training.linear_descent training.start_descent training.linear_objective "
           "training.normal_equations training.qr_least_squares",
           "training/test_linear experiments/feedforward/test_linear_sets "
           "experiments/feedforward/test_claims_f2",
           config="configs/claims/F2.11_large_sets.toml"),
    _claim("F2.12", "Mixtures of Gaussians for frames of speech and of motion",
           "outputs.frames_nll outputs.full_mixture outputs.FullMixture outputs.full_mixture_nll "
           "models.sequence_labeler data.bouncing data.bouncing_paths data.bouncing_log_density "
           "data.bouncing_gaussian_entropy",
           "outputs/test_full_mixture data/time_series/test_bouncing experiments/feedforward/test_claims_f2",
           config="configs/claims/F2.12_speech_and_motion.toml"),
    _claim("F3.1", "ReLU units and a small positive bias at the start", "layers.relu models.mlp",
           "layers/test_activations", config="configs/claims/F3.1_relu_bias_start.toml"),
    _claim("F3.2", "Absolute, leaky and parametric ReLU against dead units",
           "layers.absolute layers.leaky_relu layers.prelu", "layers/test_activations",
           config="configs/claims/F3.2_dead_units.toml"),
    _claim("F3.3", "What a maxout unit can represent and learn",
           "layers.maxout layers.dense_maxout layers.conv_maxout models.maxout_mlp",
           "layers/feedforward/test_maxout experiments/feedforward/test_maxout_convex",
           config="configs/claims/F3.3_maxout_convex.toml"),
    _claim("F3.3b", "Dynamics of maxout units that start as ReLU units", "models.as_maxout",
           "models/feedforward/test_as_maxout experiments/feedforward/test_unit_twins",
           config="configs/claims/F3.3b_maxout_twin.toml"),
    _claim("F3.4", "Maxout: its cost, and how much it forgets", "models.maxout_mlp models.mlp",
           "experiments/feedforward/test_forgetting", config="configs/claims/F3.4_forgetting.toml"),
    _claim("F3.4b", "Maxout and regularization, by training set and pieces",
           "models.maxout_mlp models.mlp", "experiments/feedforward/test_unit_twins",
           config="configs/claims/F3.4b_maxout_regularization.toml"),
    _claim("F3.5", "Saturation in deep stacks: sigmoid, tanh and ReLU units", "layers.sigmoid layers.tanh",
           "layers/test_activations experiments/feedforward/test_deep_starts",
           config="configs/claims/F3.5_deep_sigmoids.toml"),
    _claim("F3.5b", "Tanh networks with small activations beside linear ones", "layers.tanh training.fit",
           "experiments/feedforward/test_unit_twins", config="configs/claims/F3.5b_near_linear.toml"),
    _claim("F3.6", "A linear layer in two factors: parameters and accuracy",
           "layers.identity layers.factored_dense models.mlp", "layers/feedforward/test_factored",
           config="configs/claims/F3.6_low_rank.toml"),
    _claim("F3.7", "Softmax as a hidden switch", "layers.soft_switch layers.soft_read",
           "layers/feedforward/test_switch", config="configs/claims/F3.7_soft_memory.toml"),
    _claim("F3.8", "Radial basis units far from their centers",
           "layers.rbf layers.init_rbf models.rbf_network",
           "layers/feedforward/test_rbf experiment/test_recipe_rbf",
           config="configs/claims/F3.8_rbf_starts.toml"),
    _claim("F3.9", "Softplus against ReLU, hard tanh against tanh", "layers.softplus layers.hard_tanh",
           "layers/test_activations", config="configs/claims/F3.9_softplus_units.toml"),
    _claim("F3.10", "Loss and gradient norm over whole trainings on images", "models.mlp training.fit",
           "experiments/feedforward/test_image_networks",
           config="configs/claims/F3.10_gradient_norms.toml"),
    _claim("F3.11", "The derivative of ReLU at zero", "layers.relu_with_slope",
           "layers/feedforward/test_other_units experiments/feedforward/test_image_networks",
           config="configs/claims/F3.11_slope_at_zero.toml"),
    _claim("F3.12", "Unpublished activations beside ReLU and tanh",
           "layers.cosine layers.odd_bump layers.sine_plus layers.erf layers.init_smooth_unit "
           "layers.smooth_unit models.graph",
           "layers/feedforward/test_other_units experiments/feedforward/test_image_networks",
           config="configs/claims/F3.12_unpublished_units.toml"),
    _claim("F3.13", "The direction of the gradient, and second-order effects, by unit",
           "analysis.hessian_product analysis.curvature_along analysis.cosine_between",
           "analysis/test_curvature experiments/feedforward/test_image_networks",
           config="configs/claims/F3.13_useful_gradients.toml"),
    _claim("F4.1", "Universal approximation by one hidden layer", "models.mlp models.graph",
           "models/feedforward/test_mlp experiments/feedforward/test_architecture_claims",
           config="configs/claims/F4.1_universal_approximation.toml"),
    _claim("F4.2", "Representing a function against learning it", "models.mlp", "models/feedforward/test_mlp",
           config="configs/claims/F4.2_representing_is_not_learning.toml"),
    _claim("F4.3", "Linear regions, counted, against the bounds",
           "analysis.on_line analysis.on_slice analysis.relu_regions analysis.maxout_regions",
           "analysis/test_linear_regions experiments/feedforward/test_architecture_claims",
           config="configs/claims/F4.3_linear_regions.toml"),
    _claim("F4.4", "A sawtooth by deep and by shallow networks", "analysis.on_line",
           "analysis/test_linear_regions experiments/feedforward/test_architecture_claims",
           config="configs/claims/F4.4_sawtooth.toml"),
    _claim("F4.5a", "Depth and generalization at equal numbers of parameters",
           "models.conv_net analysis.count",
           "analysis/test_counting experiments/feedforward/test_depth_claims",
           config="configs/claims/F4.5a_depth_generalization.toml"),
    _claim("F4.5b", "More parameters with and without more depth",
           "models.conv_net analysis.count",
           "analysis/test_counting experiments/feedforward/test_depth_claims",
           config="configs/claims/F4.5b_depth_convolutions.toml"),
    _claim("F4.5c", "The training loss of deeper networks", "models.mlp",
           "models/feedforward/test_mlp experiments/feedforward/test_depth_claims",
           config="configs/claims/F4.5c_depth_optimization.toml"),
    _claim("F4.6", "Skip connections and the first layer's gradient", "models.mlp",
           "models/feedforward/test_mlp experiments/feedforward/test_skip_depth",
           config="configs/claims/F4.6_skip_depth.toml"),
    _claim("F4.7", "Sparse connections: what they save, and local against random ones",
           "layers.masked_dense layers.init_masked_dense layers.connections analysis.count",
           "layers/feedforward/test_sparse analysis/test_counting "
           "experiments/feedforward/test_sparse_patterns",
           config="configs/claims/F4.7_sparse_patterns.toml"),
    _claim("F4.8", "One hidden layer and a training set with any labels",
           "analysis.exact_fit analysis.rational_fit models.mlp", "analysis/test_exact_fit",
           config="configs/claims/F4.8_random_labels.toml"),
    _claim("F4.9", "Hidden units of Boolean functions and of functions of bounded Fourier norm",
           "analysis.boolean_functions.least_units analysis.boolean_functions.units_between "
           "analysis.boolean_functions.threshold_functions",
           "analysis/test_boolean_functions experiments/feedforward/test_boolean_units",
           config="configs/claims/F4.9_boolean_units.toml"),
    _claim("F4.10", "No free lunch over all functions of three bits", "models.mlp training.fit",
           "experiments/feedforward/test_no_free_lunch",
           config="configs/claims/F4.10_no_free_lunch.toml"),
    _claim("F5.1", "Back-propagation over a graph of named nodes",
           "autodiff.graph autodiff.forward autodiff.backward", "autodiff/test_computational_graph",
           config="configs/claims/F5.1_graph_arcs.toml"),
    _claim("F5.2", "The chain rule with and without a table of gradients", "autodiff.naive_gradient",
           "autodiff/test_computational_graph", config="configs/claims/F5.2_naive_chain_rule.toml"),
    _claim("F5.3", "Forward and backward pass of an MLP written out",
           "autodiff.mlp_backprop.forward autodiff.mlp_backprop.backward autodiff.mlp_backprop.cost "
           "autodiff.descend_at_once autodiff.layer_gradients",
           "autodiff/test_mlp_backprop autodiff/test_immediate_updates",
           config="configs/claims/F5.3_mlp_by_hand.toml"),
    _claim("F5.4", "Jacobian products of the basic operations by hand",
           "autodiff.matmul_vjp autodiff.softmax_vjp autodiff.convolution_vjp autodiff.derivative "
           "autodiff.whole_jacobian",
           "autodiff/test_jacobian_products autodiff/test_whole_jacobians",
           config="configs/claims/F5.4_products_by_hand.toml"),
    _claim("F5.5", "Storing against recomputing in the backward pass",
           "autodiff.store_all autodiff.recompute_segments autodiff.recompute_all",
           "autodiff/test_checkpointing", config="configs/claims/F5.5_store_or_recompute.toml"),
    _code("F5.6", "The backward pass as a graph that can be differentiated again",
          "autodiff.backward_graph autodiff.hessian_vector_graph autodiff.second_derivatives",
          "autodiff/test_backward_graph", built=True),
    _code("F5.7", "A graph without repeated subexpressions and with constants worked out",
          "autodiff.simplify autodiff.product_count", "autodiff/test_simplification", built=True),
    _code("C6.1", "Convolution in one to three dimensions, with every option",
          "layers.convolve layers.conv layers.init_convolution layers.convolve_functions "
          "layers.averaged_variance layers.forward_mode",
          "layers/convolutional/test_convolution layers/convolutional/test_functions_convolved", built=True),
    _code("C6.2", "The size of a convolution's output",
          "layers.convolve layers.output_size layers.stack_geometry",
          "layers/convolutional/test_convolution layers/convolutional/test_geometry", built=True),
    _code("C6.3", "Convolution as a Toeplitz or circulant matrix",
          "layers.toeplitz layers.circulant layers.doubly_block_circulant layers.periodic_convolution "
          "layers.circulant_eigenvalues", "layers/convolutional/test_toeplitz", built=True),
    _claim("C6.4", "Few connections and shared weights: counts and examples",
           "layers.conv layers.locally_connected layers.dense analysis.count",
           "layers/convolutional/test_convolution_variants analysis/test_counting "
           "experiments/convolutional/test_convolution_claims",
           config="configs/claims/C6.4_shared_weights.toml"),
    _code("C6.5", "Receptive fields in closed form",
          "layers.receptive_field layers.stack_geometry analysis.by_layer",
          "layers/convolutional/test_geometry analysis/test_counting", built=True),
    _claim("C6.6", "Convolution under shifts, rotations and changes of scale", "layers.convolve models.cnn",
           "layers/convolutional/test_convolution experiments/convolutional/test_convolution_claims",
           config="configs/claims/C6.6_equivariance.toml"),
    _code("C6.7", "Convolution, detector and pooling as one stage; kinds of pooling",
          "layers.conv_stage layers.max_pool layers.avg_pool layers.l2_pool layers.distance_weighted_pool "
          "models.cnn",
          "layers/convolutional/test_stage layers/convolutional/test_pooling "
          "layers/convolutional/test_pooling_kinds", built=True),
    _claim("C6.8", "Pooled maps under small shifts, and the next layer's cost",
           "layers.max_pool layers.avg_pool layers.l2_pool analysis.multiply_adds",
           "layers/convolutional/test_pooling experiments/convolutional/test_convolution_claims",
           config="configs/claims/C6.8_pooling_invariance.toml"),
    _claim("C6.9", "Pooling over separately learned filters and rotation",
           "layers.conv_maxout layers.channel_max_pool",
           "layers/feedforward/test_maxout layers/convolutional/test_pooling_kinds "
           "experiments/convolutional/test_convolution_claims",
           config="configs/claims/C6.9_learned_invariance.toml"),
    _code("C6.10", "Pooling regions found in the data",
          "layers.cluster_locations layers.clustered_pool layers.learned_pool layers.init_learned_pooling "
          "models.conv_net",
          "layers/convolutional/test_clustered_pooling layers/convolutional/test_learned_pooling "
          "models/convolutional/test_pooled_heads", built=True),
    _claim("C6.11", "Three shapes of image classifier", "models.conv_net layers.global_avg_pool",
           "models/convolutional/test_conv_net experiments/convolutional/test_image_claims "
           "experiments/convolutional/test_claims_c6", config="configs/claims/C6.11_three_classifiers.toml"),
    _claim("C6.12", "Examples needed with and without pooling, where place matters and where not",
           "layers.max_pool models.conv_net",
           "layers/convolutional/test_pooling experiments/convolutional/test_pooling_and_places",
           config="configs/claims/C6.12_pooling_prior.toml"),
    _claim("C6.13", "Pooling in convolutional autoencoders",
           "models.conv_autoencoder models.conv_autoencoder_halves layers.switched_max_pool "
           "layers.max_unpool layers.switch_bits",
           "layers/convolutional/test_unpooling models/convolutional/test_conv_autoencoder "
           "experiments/convolutional/test_pooling_and_places",
           config="configs/claims/C6.13_pooled_autoencoders.toml"),
    _code("C6.14", "Branches side by side as a stage of a convolutional network",
          "models.branched_net models.Branches models.Branch "
          "layers.neighborhood_pool",
          "models/convolutional/test_branched layers/convolutional/test_neighborhood", built=True),
    _claim("C7.1", "A label for every pixel",
           "models.pixel_labeler data.scenes data.image_masks outputs.boundary_f",
           "data/images/test_scenes outputs/test_segmentation models/convolutional/test_pixel_labeler "
           "experiment/test_pixel_runs experiments/convolutional/test_claims_c7",
           config="configs/claims/C7.1_pixel_labels.toml"),
    _claim("C7.2", "Labels refined by shared convolutions",
           "models.recurrent_refinement outputs.over_steps",
           "models/convolutional/test_pixel_labeler experiments/convolutional/test_claims_c7",
           config="configs/claims/C7.2_refinement.toml"),
    _claim("C7.3", "From pixels to regions by mean field", "layers.mean_field layers.connected_regions",
           "layers/convolutional/test_crf", config="configs/claims/C7.3_smoothed_labels.toml"),
    _code("C7.4", "One convolution for sound, motion, images, volumes and video",
          "layers.convolve models.conv_net data.log_spectrogram data.skeleton_motion data.photo_patches "
          "data.sound data.moving_digits",
          "models/test_data_kinds data/time_series/test_skeleton_motion data/time_series/test_log_frequency",
          built=True),
    _claim("C7.5", "One set of weights for inputs of any size",
           "models.conv_net data.choose_buckets data.sized_digits layers.masked_adaptive_pool",
           "data/test_buckets data/images/test_own_sizes models/convolutional/test_any_size "
           "experiment/test_bucketed experiments/convolutional/test_claims_c7",
           config="configs/claims/C7.5_any_size.toml"),
    _claim("C7.6", "Convolution over optional columns and over series of any length",
           "models.conv_net models.mlp layers.masked_mean", "experiments/convolutional/test_optional_columns",
           config="configs/claims/C7.6_optional_columns.toml"),
    _code("R8.1", "An unrolled recurrence is the composition of its steps", "layers.unroll",
          "layers/recurrent/test_unroll layers/recurrent/test_cells", built=True),
    _claim("R8.2", "Shared and separate parameters on unseen lengths",
           "layers.unroll models.sequence_classifier", "experiments/recurrent/test_recurrent_claims",
           config="configs/claims/R8.2_unseen_lengths.toml"),
    _code("R8.3", "Batches of sequences of different lengths",
          "layers.unroll data.choose_buckets data.buckets_for",
          "layers/recurrent/test_unroll data/test_buckets experiment/test_bucketed", built=True),
    _code("R9.1", "The three patterns of recurrence",
          "layers.unroll layers.output_recurrent models.sequence_classifier models.sequence_labeler",
          "layers/recurrent/test_unroll layers/recurrent/test_cells models/recurrent/test_sequence",
          built=True),
    _code("R9.2", "Back-propagation through time written out",
          "autodiff.bptt_by_hand.value_and_gradient autodiff.bptt_by_hand.node_gradients "
          "autodiff.bptt_by_hand.parameter_gradients layers.unroll",
          "autodiff/test_bptt_by_hand layers/recurrent/test_unroll", built=True),
    _claim("R9.3", "Cost of back-propagation through time and of teacher forcing",
           "layers.unroll layers.teacher_forced autodiff.temporary_bytes",
           "layers/recurrent/test_cells experiments/recurrent/test_recurrent_claims",
           config="configs/claims/R9.3_cost_of_bptt.toml"),
    _claim("R9.4", "Recurrence through the output alone against hidden recurrence",
           "layers.output_recurrent layers.teacher_forced",
           "layers/recurrent/test_cells experiments/recurrent/test_recurrent_claims",
           config="configs/claims/R9.4_output_recurrence.toml"),
    _claim("R9.5", "Teacher forcing and running on own outputs",
           "models.own_inputs models.mixed_targets models.mixed_inputs training.schedules.inverse_sigmoid",
           "models/recurrent/test_encoder_decoder training/test_step training/test_schedules "
           "experiment/test_pair_runs", config="configs/claims/R9.5_teacher_forcing.toml"),
    _code("R9.6", "A recurrent net as a directed graphical model",
          "models.character_model models.sequence_distribution models.log_probability "
          "models.recurrent.generation.sample models.exact_fillings models.sampled_fillings",
          "models/recurrent/test_sequence models/recurrent/test_generation models/recurrent/test_stopping",
          built=True),
    _claim("R9.7", "Three ways to end a sequence", "models.sequence_distribution models.write_sequences",
           "models/recurrent/test_stopping", config="configs/claims/R9.7_endings.toml"),
    _code("R9.8", "Conditioning on one vector", "models.sequence_distribution models.write_sequences",
          "models/recurrent/test_stopping", built=True),
    _claim("R9.9", "Conditioning on a sequence, with and without feedback",
           "models.aligned_sequences models.write_aligned", "models/recurrent/test_aligned",
           config="configs/claims/R9.9_feedback.toml"),
    _code("R9.10", "A recurrent net that runs a stack machine, or a Turing machine",
          "models.stack_net models.recurrent.stack_machine.accepts models.recurrent.stack_machine.states "
          "models.turing_net models.recurrent.turing_machine.run "
          "models.recurrent.tape_machines.busy_beaver",
          "models/recurrent/test_stack_machine models/recurrent/test_turing_machine", built=True),
    _claim("R9.11", "A changing process, the time as an input, and the distant past",
           "models.aligned_sequences models.character_model data.ngram_bits",
           "models/recurrent/test_aligned experiments/recurrent/test_changing_sources",
           config="configs/claims/R9.11_stationarity.toml"),
    _claim("R9.12", "A vector as an input, as the initial state, or as both",
           "models.sequence_distribution",
           "models/recurrent/test_stopping experiments/recurrent/test_conditioning_ways",
           config="configs/claims/R9.12_conditioning_ways.toml"),
    _claim("R10.1", "Both directions against a causal net",
           "layers.unroll models.sequence_classifier models.sequence_labeler",
           "layers/recurrent/test_unroll models/recurrent/test_sequence "
           "experiments/recurrent/test_speech_and_far_signals",
           config="configs/claims/R10.1_both_directions.toml"),
    _claim("R10.2", "A recurrent net in four directions over images",
           "layers.grid_rnn models.grid_recurrent", "layers/recurrent/test_grid_recurrent",
           config="configs/claims/R10.2_four_directions.toml"),
    _code("R10.3", "Encoder and decoder of different lengths",
          "models.seq2seq models.greedy_decode models.sample_decode models.beam_decode models.beam_search "
          "outputs.error_rates",
          "models/recurrent/test_encoder_decoder models/recurrent/test_generation "
          "outputs/test_edit_distance experiment/test_pair_runs", built=True),
    _claim("R10.4", "The size of a fixed context, and attention",
           "models.seq2seq layers.additive_scores layers.local_window",
           "layers/recurrent/test_attention models/recurrent/test_encoder_decoder",
           config="configs/claims/R10.4_fixed_context.toml"),
    _code("R10.5", "Attention weights, masked and drawn",
          "layers.masked_softmax models.attention_weights experiment.alignments",
          "layers/recurrent/test_attention models/recurrent/test_encoder_decoder "
          "experiment/test_pair_runs", built=True),
    _claim("R11.1", "Deep recurrent nets, and a skip past the transition's layer",
           "layers.deep_input layers.deep_transition models.deep_output models.sequence_classifier",
           "layers/recurrent/test_cells models/recurrent/test_deep_output "
           "experiments/recurrent/test_deep_transitions",
           config="configs/claims/R11.1_deep_transitions.toml"),
    _claim("R11.2", "Recursive nets: a balanced tree against a chain",
           "layers.node_states layers.recursive.states.compose layers.count_waves models.tree_net",
           "layers/recursive/test_states models/recursive/test_tree_net "
           "experiments/recurrent/test_tree_memory", config="configs/claims/R11.2_tree_memory.toml"),
    _claim("R11.3", "Where the tree comes from",
           "models.tree_net models.gumbel_tree models.chart_tree layers.compose_pairs layers.soft_chart "
           "outputs.bracket_f1 data.list_ops data.balanced_tree data.chain_tree data.parse_brackets "
           "data.smiles_tree",
           "layers/recursive/test_gumbel layers/recursive/test_chart models/recursive/test_latent_trees "
           "outputs/test_bracket_f1 data/trees/test_list_ops data/trees/test_tree data/trees/test_smiles",
           config="configs/claims/R11.3_given_trees.toml"),
    _claim("R11.4", "Affine maps and tensors as composition in recursive nets",
           "layers.tree_cell models.tree_net",
           "layers/recursive/test_tree_cells layers/recursive/test_states models/recursive/test_tree_net "
           "experiments/recurrent/test_composition", config="configs/claims/R11.4_composition.toml"),
    _claim("R11.5", "Stacked recurrent layers at equal numbers of parameters",
           "models.sequence_labeler models.activations analysis.linear_probe data.align_pairs",
           "models/recurrent/test_sequence data/texts/test_alignment analysis/test_linear_probe "
           "experiments/recurrent/test_stacked_layers",
           config="configs/claims/R11.5_stacked_layers.toml"),
    _code("R12.1", "Powers of the recurrent matrix",
          "analysis.recurrent_dynamics.linear_states analysis.recurrent_dynamics.spectrum "
          "analysis.recurrent_dynamics.states_by_spectrum analysis.recurrent_dynamics.lost",
          "analysis/test_recurrent_dynamics", built=True),
    _claim("R12.2", "Scale of the weights in nets of a hundred layers",
           "analysis.recurrent_dynamics.factor_variance analysis.recurrent_dynamics.products_of_weights",
           "analysis/test_recurrent_dynamics experiments/recurrent/test_recurrent_claims",
           config="configs/claims/R12.2_scale_of_depth.toml"),
    _code("R12.3", "A map composed with itself becomes wildly non-linear",
          "analysis.recurrent_dynamics.section analysis.recurrent_dynamics.turning_points",
          "analysis/test_recurrent_dynamics", built=True),
    _claim("R12.4", "Gradients through time, and what robust memory costs",
           "analysis.step_jacobians analysis.back_from_the_end analysis.norms_back "
           "analysis.gradient_by_step analysis.variance_shares",
           "analysis/test_gradient_flow analysis/test_gradient_by_step "
           "experiments/recurrent/test_recurrent_claims "
           "experiments/recurrent/test_speech_and_far_signals",
           config="configs/claims/R12.4_fading_gradients.toml"),
    _claim("R12.5", "Sequence length and plain gradient descent",
           "layers.recurrent_cell layers.leaky layers.delayed data.draw_latch",
           "layers/recurrent/test_cells experiments/recurrent/test_recurrent_claims",
           config="configs/claims/R12.5_length_limits.toml"),
    _claim("R12.6", "Echo state networks", "layers.reservoir layers.ridge_readout",
           "layers/recurrent/test_echo_state", config="configs/claims/R12.6_echo_states.toml"),
    _code("R12.7", "Leaky units and skips through time", "layers.leaky layers.delayed",
          "layers/recurrent/test_cells", built=True),
    _code("R12.8", "Gated cells: LSTM and GRU", "layers.recurrent_cell layers.lstm_variant",
          "layers/recurrent/test_unroll layers/recurrent/test_cells layers/recurrent/test_torch_cells",
          built=True),
    _claim("R12.9", "Clipping the gradient near a cliff", "training.optimizer",
           "training/test_optimizers experiments/recurrent/test_recurrent_claims",
           config="configs/claims/R12.9_clipping_at_a_cliff.toml"),
    _claim("L13.1", "Whole-number inference: speed gained, accuracy lost",
           "models.quantized layers.quantize_dense layers.quantized_dense layers.quantize_convolution "
           "layers.quantized_conv layers.calibrated layers.multiplier layers.requantize",
           "layers/large_scale/test_quantized layers/large_scale/test_quantized_onnxruntime "
           "models/large_scale/test_quantized_networks experiment/test_export_int8 "
           "experiments/large_scale/test_fixed_point",
           config="configs/claims/L13.1_fixed_point.toml"),
    _claim("L13.2", "Larger batches, and the steps that they save",
           "devices.place training.fit",
           "devices/test_placement experiment/test_inference experiments/large_scale/test_batch_returns",
           config="configs/claims/L13.2_batch_returns.toml"),
    _code("L13.3", "A layer divided over devices, and a pipeline",
          "devices.column_then_row devices.pipeline devices.place_on_mesh",
          "devices/test_model_parallel devices/test_mesh experiment/test_mesh_runs", built=True),
    _claim("L13.4", "Asynchronous descent: stale gradients, more per second",
           "training.train_delayed training.delayed_descent",
           "training/test_delayed training/test_asynchronous experiment/test_asynchronous_runs "
           "experiments/large_scale/test_asynchronous_races",
           config="configs/claims/L13.4_asynchronous.toml"),
    _code("L13.5", "Training on many hosts", "devices.start devices.detect",
          "devices/test_distributed experiment/test_checkpoint_recovery experiment/test_together",
          built=True),
    _claim("L13.6", "A large model distilled into a small one",
           "outputs.distillation outputs.imitation",
           "outputs/test_distillation experiment/test_teacher experiments/large_scale/test_students",
           config="configs/claims/L13.6_distillation.toml"),
    _claim("L13.7", "Cascades of classifiers for a rare class",
           "models.run_cascade models.cascade_thresholds models.cascade_counts experiment.fit_cascade",
           "models/large_scale/test_cascade experiment/test_run_cascade "
           "experiments/large_scale/test_cascades",
           config="configs/claims/L13.7_cascade.toml"),
    _claim("L13.8", "A net that locates and a net that looks closer",
           "models.hard_attention models.glimpse layers.crop layers.bilinear_crop",
           "models/large_scale/test_hard_attention layers/large_scale/test_crops "
           "experiments/large_scale/test_canvases",
           config="configs/claims/L13.8_hard_attention.toml"),
    _claim("L13.9", "A decision tree of nets, and the cost of one path",
           "models.soft_tree models.path_probabilities",
           "models/large_scale/test_soft_tree experiment/test_routing "
           "experiments/large_scale/test_experts_and_trees",
           config="configs/claims/L13.9_neural_tree.toml"),
    _claim("L13.10", "Experts behind a soft or a hard gate",
           "models.mixture_of_experts models.gate_weights layers.grouped_dense layers.sort_by_group "
           "outputs.penalized",
           "models/large_scale/test_mixture_of_experts layers/large_scale/test_grouped "
           "experiment/test_routing outputs/test_penalized experiments/large_scale/test_experts_and_trees",
           config="configs/claims/L13.10_mixture_of_experts.toml"),
    _claim("L13.11", "Blocks of units switched by the input",
           "models.gated_mlp models.open_blocks layers.bernoulli_gate layers.gated_dense outputs.scored",
           "layers/large_scale/test_gates models/large_scale/test_gated_mlp experiment/test_routing",
           config="configs/claims/L13.11_conditional_dropout.toml"),
    _claim("L13.12", "A unit that chooses its input, against an average of all",
           "layers.hard_read layers.soft_read outputs.scored", "layers/large_scale/test_hard_read",
           config="configs/claims/L13.12_switch.toml"),
    _claim("L13.13", "Ensembles and dropout",
           "models.ensemble models.sample_outputs layers.dropout",
           "models/large_scale/test_ensemble_models experiment/test_ensemble experiment/test_sampling "
           "layers/test_random experiments/large_scale/test_ensembles",
           config="configs/claims/L13.13_ensembles.toml"),
    _claim("L13.14", "Bandwidth or arithmetic: the limit of each kind of layer",
           "devices.measure_roofline devices.triad devices.product devices.rates analysis.traffic",
           "devices/test_roofline analysis/test_traffic experiments/large_scale/test_timed_layers",
           config="configs/claims/L13.14_roofline.toml"),
    _claim("L13.15", "Load of a cascade's stages on two machines",
           "analysis.mean_waiting analysis.waiting_times",
           "analysis/test_queues experiments/large_scale/test_load_balance",
           config="configs/claims/L13.15_load_balance.toml"),
    _claim("L13.16", "Layout of data, vector instructions, and accuracy in a fixed time",
           "devices.rates devices.timed", "devices/test_roofline experiments/large_scale/test_data_layout",
           config="configs/claims/L13.16_data_layout.toml"),
    _code("P14.1", "Greedy pretraining, layer by layer",
          "pretraining.greedy pretraining.encode pretraining.to_mlp pretraining.train",
          "pretraining/test_greedy pretraining/test_train experiment/test_pretraining", built=True),
    _code("P14.2", "One-layer learners: RBM, autoencoders, sparse coding",
          "pretraining.rbm pretraining.log_likelihood pretraining.annealed_importance "
          "pretraining.autoencoder pretraining.sparse_coding pretraining.fista pretraining.pca",
          "pretraining/test_rbm pretraining/test_rbm_learner pretraining/test_annealed_importance "
          "pretraining/test_autoencoder pretraining/test_sparse_coding "
          "pretraining/test_principal_components", built=True),
    _code("P14.3", "Deep belief net, deep Boltzmann machine, deep autoencoder",
          "pretraining.deep_belief_net.log_prob pretraining.deep_belief_net.lower_bounds "
          "pretraining.deep_belief_net.chains_over_time pretraining.dbm pretraining.doubled_stack "
          "pretraining.deep_boltzmann_machine.mean_field pretraining.annealed_importance_dbm "
          "pretraining.unroll models.deep_autoencoder",
          "pretraining/test_deep_belief_net pretraining/test_deep_boltzmann_machine "
          "pretraining/test_deep_autoencoder", built=True),
    _claim("P14.4", "Pretraining and the number of labels",
           "pretraining.greedy pretraining.to_mlp pretraining.rbm pretraining.autoencoder "
           "pretraining.sparse_coding",
           "pretraining/test_greedy experiments/representation/test_label_starts",
           config="configs/claims/P14.4_few_labels.toml"),
    _claim("P14.5", "Linear separability of the classes by layer",
           "models.activations analysis.linear_probe analysis.separable experiment.probe_run",
           "models/test_layer_activations analysis/test_linear_probe experiment/test_run_probe",
           config="configs/claims/P14.5_linear_separability.toml"),
    _claim("P14.6", "One representation for several tasks",
           "models.shared models.head outputs.Targets outputs.joint_loss outputs.of_task layers.corrupt",
           "models/representation/test_shared outputs/test_targets data/test_tasks "
           "experiment/test_task_runs experiments/representation/test_shared_networks",
           config="configs/claims/P14.6_shared_representation.toml"),
    _claim("P14.7", "The last layer's type and the layer below it",
           "models.mlp layers.rbf analysis.linear_probe",
           "experiments/representation/test_last_layers analysis/test_linear_probe",
           config="configs/claims/P14.7_last_layer.toml"),
    _claim("P14.8", "Independent features against information kept",
           "outputs.dependence outputs.distance_correlations",
           "outputs/test_dependence experiments/representation/test_independence",
           config="configs/claims/P14.8_independence.toml"),
    _claim("P14.9", "Comparisons by the representation of an ordered list",
           "analysis.sorted_structures.LinkedList analysis.sorted_structures.RedBlackTree",
           "experiments/representation/test_sorted_insertion",
           config="configs/claims/P14.9_sorted_insertion.toml"),
    _claim("P14.10", "Deep sigmoid stacks with a greedy and with a joint start", "pretraining.greedy",
           "experiments/representation/test_greedy_start",
           config="configs/claims/P14.10_greedy_start.toml"),
)  # fmt: skip
