"""Where the notes' print and the mathematics disagree, and what shows it.

The library follows the mathematics. Most of these are slips of the pen or of translation; a few stand in
the book that the notes follow. Those that numbers can show are shown in
``tests/claims/test_errata.py``.
"""

from __future__ import annotations

from typing import NamedTuple

_BOOK = "Goodfellow, Bengio & Courville 2016"
_SHOWN = "tests/claims/test_errata.py"


class Erratum(NamedTuple):
    """One place.

    Attributes:
      section: chapter, a key of `dlnotes.claims.rows.SECTIONS`.
      printed: the notes' words.
      correct: what is right, and why.
      evidence: rows of the notes, test files, or papers.
    """

    section: str
    printed: str
    correct: str
    evidence: tuple[str, ...]


ERRATA: tuple[Erratum, ...] = (
    Erratum(
        "F1",
        "redes neuronales profundas retroalimentadas o feedforward neural networks",
        "Retroalimentación is Spanish for feedback, which the same paragraph says these networks lack: "
        "feedforward is prealimentada.",
        (f"{_BOOK}, ch. 6",),
    ),
    Erratum(
        "F1",
        "parámetros θ que se usa para aprender θ de una gran clase de funciones",
        "What is learned from the class of functions is φ; θ are the parameters by which it is learned.",
        (f"{_BOOK}, ch. 6", "F1.5"),
    ),
    Erratum(
        "F1",
        "seguida de una función lineal no fija denominada función de activación",
        "A fixed non-linear function («no lineal fija»). The word order turns it round: with a linear one "
        "the network would stay linear, as the notes themselves show just above.",
        (f"{_BOOK}, 6.1", _SHOWN, "F1.2"),
    ),
    Erratum(
        "F1",
        "c = [0 −1; 0 −1; 0 −1; 0 −1]",
        "c is the vector (0, −1)ᵀ, one bias per unit, as in h = g(Wᵀx + c). Printed is 1cᵀ, its copy for "
        "each of the four examples; as parameters it would be eight numbers instead of two.",
        (_SHOWN, "F1.3"),
    ),
    Erratum(
        "F1",
        "la solución era un mínimo global de la función de pérdida, de modo que convergería a ese punto",
        "Gradient descent could converge to it. Being a global minimum does not make it the one that is "
        "reached: some starts end in worse stationary points.",
        (f"{_BOOK}, 6.1", "F1.4"),
    ),
    Erratum(
        "F2",
        "Σ log p = −m log(σ) − (m/2) log(2π) − Σ ‖ŷ − y‖²/2σ² ⇒ const − (1/const) Σ ‖ŷ − y‖²",
        "For y of d elements the constants are −md log σ − (md/2) log 2π; as printed they hold only for d = "
        "1, while the norm says that y is a vector. The two «const» are different numbers: the second is "
        "2σ².",
        (_SHOWN, "F2.3"),
    ),
    Erratum(
        "F2",
        "J(θ) = ½ lim m→∞ (MSE_train) + const",
        "No limit: J is an expectation under p̂_data, the m training examples, so J = ½ MSE_train + const "
        "exactly (with σ = 1). With the limit it would be the cost on the true distribution, p_data.",
        (_SHOWN, "F2.3"),
    ),
    Erratum(
        "F2",
        "especificar un modelo p_model(y|x) automáticamente determina una función de coste log[p(y|x)]",
        "The cost is −log p(y|x). Without the sign, minimizing it would make the data as unlikely as "
        "possible. The book has the same slip.",
        (f"{_BOOK}, 6.2.1", "F2.2"),
    ),
    Erratum(
        "F2",
        "El error medio cuadrático y el error medio absoluto normalmente lleva a resultados pobres",
        "Only through output units that saturate, as the next sentence says. With a linear output the "
        "squared error is a Gaussian's −log p, and the absolute error a Laplace's.",
        ("F2.3", "F2.5", "F2.7"),
    ),
    Erratum(
        "F2",
        "softplus, la cual se suele utilizar para obtener el parámetro de varianza σ",
        "σ is the standard deviation; the variance is σ². Softplus makes either positive, but they are not "
        "the same model output.",
        (f"{_BOOK}, 3.10", "F2.9"),
    ),
    Erratum(
        "F2",
        "softmax(z_i) = exp(z_i) / Σ_j exp(z_j)",
        "softmax(z)_i: an element of a function of the whole vector. Of z_i alone it is not a function, "
        "since the other z_j change it.",
        (f"{_BOOK}, 6.2.2.3", "F2.8"),
    ),
    Erratum(
        "F2",
        "como este término no se satura (al ser lineal), el aprendizaje puede proceder, aunque el segundo "
        "término sea muy pequeño",
        "Small is the part of z_i in the second term, not the term: log Σ exp(z_j) ≥ max z_j, so it is never "
        "less than the first.",
        (_SHOWN, f"{_BOOK}, 6.2.2.3"),
    ),
    Erratum(
        "F2",
        "softmax(z_i(x_i; θ)) ≈ Σ_j 1[y⁽ʲ⁾=i, x⁽ʲ⁾=x] / Σ_j 1[x⁽ʲ⁾=x]",
        "softmax(z(x; θ))_i: i counts classes, not examples, and the right side asks about one input x.",
        (f"{_BOOK}, 6.2.2.3", "F2.8"),
    ),
    Erratum(
        "F2",
        "es invariante al añadir un vector escalar al vector de insumos: softmax(z) = softmax(z + c), c in "
        "bold",
        "Only for the same scalar added to every element, z + c·1. For another vector c the output changes.",
        (_SHOWN, "F2.8"),
    ),
    Erratum(
        "F2",
        "el cuadrado […] causaría que, para valores cerca de cero, el gradiente desapareciera",
        "Not the gradient of this cost. With residual r, d/dσ [log σ + r²/2σ²] = 1/σ − r²/σ³, which grows "
        "without bound as σ → 0. The factor 2σ of the square only makes it smaller than the variance's, "
        "1/2σ² − r²/2σ⁴. A gradient does vanish where a harmless quantity is squared, as in β = s². The "
        "logarithm is not harmless everywhere either: d/dβ = ½(r² − 1/β) grows as β → 0.",
        (_SHOWN, "F2.9"),
    ),
    Erratum(
        "F2",
        "una parametrización que garantiza que la matriz de covarianza predicha es definida positiva, […] "
        "una matriz cuadrada no restringida B: Σ(x) = B(x)Bᵀ(x)",
        "BBᵀ of an unrestricted B is only positive semi-definite; it is definite when B is invertible. A "
        "triangular B with a positive diagonal guarantees that, and makes B unique. The book prints the "
        "same.",
        (_SHOWN, "F2.9"),
    ),
    Erratum(
        "F3",
        "fijar todos los elementos de b a un número positivo pequeño como 0.1. Esto hace muy probable que la "
        "ReLU esté activa inicialmente para la mayoría de insumos",
        "A unit with pre-activations of standard deviation s about its bias is active with probability "
        "Φ(0.1/s): 53% for He's start (s = √2), 54% for s = 1. It takes s ≤ 0.06 to reach 95%: very small "
        "weights.",
        (_SHOWN, "F3.1"),
    ),
    Erratum(
        "F3",
        "una capa maxout con 2 unidades puede aprender a implementar la misma función que una unidad con "
        "ReLU, […] una leaky ReLU o con una ReLU paramétrica",
        "One unit with two pieces, k = 2: max(z, αz). And a parametric ReLU only while α ≤ 1: above, it is "
        "min(z, αz), concave, and a maximum of linear pieces is always convex.",
        (_SHOWN, "F3.3", f"{_BOOK}, 6.3.1"),
    ),
    Erratum(
        "F3",
        "k vectores de n elementos en vez de solo 1, de modo que las unidades necesitan más regularización "
        "si el conjunto de entrenamiento es grande y el número de piezas por capa se mantiene bajo",
        "The opposite: they need more regularization than ReLU, and can do without if the training set is "
        "large and the pieces per unit are few. The vectors are as long as x; n is the length of z.",
        (f"{_BOOK}, 6.3.1", "Cai, Shi & Liu 2013", "F3.4"),
    ),
    Erratum(
        "F3",
        "las unidades maxout tienen algo de redundancia que les ayuda a resistir el fenómeno de olvido "
        "catastrófico",
        "Too strong. The study cited for it finds maxout among the good choices on every pair of tasks, but "
        "not the best throughout: the ranking of activation functions differs from task to task, and what "
        "helps in every case is dropout. That redundancy is the cause it does not test.",
        ("Goodfellow, Mirza, Xiao, Courville & Bengio 2013, arXiv 1312.6211", "F3.4"),
    ),
    Erratum(
        "F3",
        "producir una secuencia de estados e insumos",
        "States and outputs: the inputs are given to the network, not produced by it.",
        (f"{_BOOK}, 6.3.1", "R8.1"),
    ),
    Erratum(
        "F3",
        "se saturan […] a un valor pequeño cuando z es pequeño y son extremadamente sensibles a su insumo "
        "cuando z está cerca de 0",
        "They saturate low where z is very negative, not where it is small. Nor is the sigmoid's sensitivity "
        "at 0 extreme: its slope is at most ¼, a quarter of ReLU's, so the gradient shrinks at every layer.",
        (_SHOWN, "F3.5"),
    ),
    Erratum(
        "F4",
        "una capa lineal y al menos una capa escondida lineal con cualquier función de activación que "
        "comprima […] puede aproximar cualquier función medible en el sentido de Borel […] con cualquier "
        "cantidad de error",
        "The output layer is linear, the hidden one is not: its activation squashes. And for merely "
        "measurable functions the error is small except on inputs of small probability; it is small "
        "everywhere, on a closed and bounded set, for continuous ones.",
        ("Hornik, Stinchcombe & White 1989", "F4.1"),
    ),
    Erratum(
        "F4",
        "las funciones representables con una red rectificadora puede requerir un número exponencial de "
        "unidades escondidas con una red simple",
        "Functions of a deep rectifier network («profunda» is missing) may need exponentially many units in "
        "a shallow one, of a single hidden layer. A shallow rectifier network is a rectifier network too.",
        (f"{_BOOK}, 6.4.1", "F4.4"),
    ),
    Erratum(
        "F4",
        "el número de regiones lineales […] es, precisamente, O( (n sobre d)^{d(l−1)} n^d )",
        "(n/d), a fraction, not a binomial coefficient, and not precisely: Ω((n/d)^{d(l−1)} n^d) bounds from "
        "below what the best weights reach. With the binomial, d = 2, n = 4, l = 3 gives 20,736 regions, "
        "where no network of that shape can have more than 11³ = 1,331. The book has the same binomial.",
        ("Montúfar, Pascanu, Cho & Bengio 2014", _SHOWN, "F4.3"),
    ),
    Erratum(
        "F4",
        "En el caso de redes maxout con k filtros lineales por unidad, el número de regiones lineales es "
        "O(k^{(l−1)+d})",
        "At least k^{l−1} k^d for suitable weights, in layers of d units each: again a lower bound on the "
        "most that can be reached, Ω and not O, and not the number that a given network has.",
        ("Montúfar, Pascanu, Cho & Bengio 2014", "F4.3"),
    ),
    Erratum(
        "F4",
        "la función que se quiere aprender involucra la composición de varias funciones lineales simples",
        "Simpler functions, not linear ones: a composition of linear functions is one linear function, and "
        "depth would bring nothing.",
        (f"{_BOOK}, 6.4.1", _SHOWN),
    ),
    Erratum(
        "F4",
        "Empíricamente, mayor profundidad no parece resultar en una mejor generalización",
        "The book, and the figure and experiment that the notes cite beside it, say that it does; so do the "
        "notes earlier («suelen generalizarse»). The «no» does not belong there.",
        (f"{_BOOK}, 6.4.1", "Goodfellow, Bulatov, Ibarz, Arnoud & Shet 2014", "F4.5"),
    ),
    Erratum(
        "F4",
        "Saltarse estas conexiones hace más fácil para el gradiente fluir de las capas de entrenamiento a "
        "capas más cercas de los insumos",
        "Having the skip connections makes it easier, not skipping them, and the gradient flows from the "
        "output layers to those nearer the input.",
        (f"{_BOOK}, 6.4.2", "F4.6"),
    ),
    Erratum(
        "F5",
        "hasta que produce un coste escalar J(θ) […]. Esto puede causar problemas para diversas capas "
        "posteriores, dado que no se podría obtener la derivada para todas ellas",
        "It causes none: a scalar cost is what back-propagation starts from, and one backward pass gives its "
        "derivative in every layer.",
        (f"{_BOOK}, 6.5", "F5.1", "F5.3"),
    ),
    Erratum(
        "F5",
        "el producto puntual se realiza para cada nodo, […] para los mismos nodos hijos de u⁽ⁱ⁾",
        "A dot product (producto escalar), over the children u⁽ⁱ⁾ of u⁽ʲ⁾: an element-wise product would "
        "leave out the sum of the formula above it.",
        (f"{_BOOK}, 6.5.3", "F5.1"),
    ),
    Erratum(
        "F5",
        "se ejecuta con orden de un producto jacobiano por nodo en el gráfico",
        "One per edge, as the notes' own next sentence says (it visits each edge exactly once). A graph of n "
        "nodes can have n(n − 1)/2 edges, so the two differ. The book has both sentences.",
        (f"{_BOOK}, 6.5.3", "F5.1"),
    ),
    Erratum(
        "F5",
        "a⁽ᵏ⁾ = b⁽ᵏ⁾ + W⁽ᵏ⁾ h⁽ᵏ⁻¹⁾",
        "Everywhere else the notes write Wᵀx + b. Both are good, but not together: for Wᵀh the lines below "
        "would read ∇_W J = h gᵀ and ∇_h J = W g, instead of g hᵀ and Wᵀ g.",
        (_SHOWN, "F5.3"),
    ),
    Erratum(
        "C6",
        "son cero en todas partes menos por un conjunto finito de puntos (también llamado padding)",
        "That is finite support, which turns the infinite sum into a finite one. Padding is something else: "
        "zeros put around the stored values, so that the kernel can also stand at and over the edge.",
        (f"{_BOOK}, 9.1", "C6.1"),
    ),
    Erratum(
        "C6",
        "((m₁ − m₂ + 2P)/S + 1) × ((n₁ − n₂ + 2P)/S + 1)",
        "The quotients are rounded down: ⌊(m − k + 2P)/S⌋ + 1. As printed, 28 pixels with a kernel of 3, P = "
        "1 and S = 2 give 14.5. Nor is the result always smaller than the image: with 2P = k − 1 it is as "
        "large, with more padding larger.",
        (_SHOWN, "C6.2"),
    ),
    Erratum(
        "C6",
        "específicamente, la matriz que tendríamos sería una circulante: una matriz cuadrada",
        "The matrix printed below it is Toeplitz, not circulant: it has n + m − 1 rows and n columns, and "
        "nothing comes back in at the other side. A circulant matrix is periodic convolution; it is the "
        "printed one's linear convolution only once x and h are filled with zeros to n + m − 1.",
        (_SHOWN, "C6.3"),
    ),
    Erratum(
        "C6",
        "una matriz de submatrices circulantes (que a su vez también es circulante)",
        "Circulant in its blocks, and each block is circulant; as a matrix of numbers it is not circulant: "
        "from one row to the next of a block row, entries turn within their blocks, not along the whole row.",
        (_SHOWN, "C6.3"),
    ),
    Erratum(
        "C6",
        "a partir de las filas de A (en orden inverso), y el vector b se construye apilando las filas de la "
        "matriz B",
        "In the same order, both from the last row: with the blocks from below and b from above the product "
        "is not A ∗ B. The example then prints A once more as B, and its X again in place of the vector b.",
        (_SHOWN, "C6.3"),
    ),
    Erratum(
        "C6",
        "la capa receptiva de s₃ son las tres unidades x₂, x₃ y x₅",
        "x₂, x₃ and x₄: a kernel of three taps sees three neighbors.",
        (_SHOWN, "C6.5"),
    ),
    Erratum(
        "C6",
        "por lo que las conexiones directas […] son más huecas, las unidades en las primeras capas pueden "
        "estar indirectamente conectadas a toda o a la mayoría de la imagen",
        "The units of the deeper layers are, and that although direct connections are sparse, not because of "
        "it. A unit of the first layer sees no more than its kernel.",
        (_SHOWN, f"{_BOOK}, 9.2", "C6.5"),
    ),
    Erratum(
        "C6",
        "conv(g(I)) ⇔ g(conv(I′))",
        "conv(g(I)) = g(conv(I)), an equation between images. With I′ = g(I) on the right, the shift would "
        "be applied twice.",
        (_SHOWN, "C6.6"),
    ),
    Erratum(
        "C6",
        "la norma L² para una vecindad triangular",
        "Rectangular, like the windows of the maximum and of the mean.",
        (f"{_BOOK}, 9.3", "C6.7"),
    ),
    Erratum(
        "C6",
        "regiones de agregación con un espacio entre ellas de k píxeles […] la siguiente capa tiene k veces "
        "menos insumos que procesar",
        "k times along one axis: of an image k² times fewer, of a volume k³. The book has the same sentence.",
        (_SHOWN, f"{_BOOK}, 9.3", "C6.8"),
    ),
    Erratum(
        "C7",
        "Using convolution across the frequency axis […] the same melody played in a different octave "
        "produces the same representation but at a different height",
        "Only with a logarithmic frequency axis. The rows of a Fourier transform are equally spaced in "
        "frequency: an octave doubles every frequency and so the distances between the overtones, which is a "
        "scaling and not a shift. The table is the book's.",
        (_SHOWN, f"{_BOOK}, 9.7"),
    ),
    Erratum(
        "R8",
        "La operación de convolución permite que la red aprenda parámetros a través del tiempo, pero es "
        "simple (solo tiene una capa)",
        "It lets the network share parameters over time, but it is shallow: how far an output sees is set by "
        "the kernel and the number of layers, while a recurrence reaches back to the first step. Shallow "
        "need not be one layer.",
        (f"{_BOOK}, 10", "R8.2"),
    ),
    Erratum(
        "R9",
        "Las redes recurrentes que producen un insumo en cada momento del tiempo",
        "An output at each step («un resultado»), as in the two patterns that follow.",
        (f"{_BOOK}, 10.2", "R9.1"),
    ),
    Erratum(
        "R9",
        "∇_h⁽ᵗ⁾ L = Wᵀ (∇_h⁽ᵗ⁺¹⁾ L) diag(1 − (h⁽ᵗ⁺¹⁾)²) + Vᵀ ∇_o⁽ᵗ⁾ L",
        "Wᵀ diag(1 − (h⁽ᵗ⁺¹⁾)²) ∇_h⁽ᵗ⁺¹⁾ L: the diagonal stands between Wᵀ and the gradient. As printed a "
        "column is multiplied by a matrix from the right; read as a product by elements, the slopes of tanh "
        "would scale what comes out of Wᵀ instead of what goes in, and the gradient is another one.",
        (_SHOWN, f"{_BOOK}, 10.2.2", "R9.2"),
    ),
    Erratum(
        "R9",
        "diag(1 − (h⁽ᵗ⁺¹⁾)²) = [1 − (h₁⁽ᵗ⁺¹⁾)² … 0; …; 0 … 1 − (h_τ⁽ᵗ⁺¹⁾)²]",
        "The last entry belongs to the last hidden unit, h_n; τ counts the steps.",
        (_SHOWN, "R9.2"),
    ),
    Erratum(
        "R9",
        "∇_V L = Σ_t (∇_o⁽ᵗ⁾ L)ᵀ [h⁽ᵗ⁾]ᵀ",
        "Σ_t (∇_o⁽ᵗ⁾ L) [h⁽ᵗ⁾]ᵀ, a sum of outer products, as in the lines for W and U. A row times a row is "
        "not defined.",
        (_SHOWN, f"{_BOOK}, 10.2.2", "R9.2"),
    ),
    Erratum(
        "R9",
        "se puede aplicar a cualquier RNN, más solo a RNNs cuyo resultado sea una secuencia de símbolos",
        "To any recurrent net and not only («y no solo») to those that put out symbols, as the bracket after "
        "it says: it serves for sequences of real numbers too.",
        (f"{_BOOK}, 10.2.3", "R9.7"),
    ),
    Erratum(
        "R12",
        "h⁽ᵗ⁾ = W h⁽ᵗ⁻¹⁾ ⇒ h⁽ᵗ⁾ = (Wᵗ)ᵀ h⁽⁰⁾",
        "h⁽ᵗ⁾ = Wᵗ h⁽⁰⁾. The transpose belongs to the recurrence h⁽ᵗ⁾ = Wᵀ h⁽ᵗ⁻¹⁾, with which the book "
        "begins. The next line, Qᵀ Λᵗ Q h⁽⁰⁾, needs a symmetric W, and for that one the two agree.",
        (_SHOWN, f"{_BOOK}, 10.7", "R12.1"),
    ),
    Erratum(
        "R12",
        "Cualquier componente de h⁽⁰⁾ que no esté alineado con el vector propio será eventualmente "
        "descartado",
        "With the eigenvector of the eigenvalue largest in magnitude: its share of the state tends to one.",
        (_SHOWN, f"{_BOOK}, 10.7", "R12.1"),
    ),
    Erratum(
        "R12",
        "la varianza de este producto es O(vⁿ) […] ponderaciones individuales con varianza v = (v*)^{1/n}",
        "Exactly vⁿ, and the rule does give the variance v*. But a single chain is not carried by it: with "
        "normal weights of v = 1 half of the products of a hundred are below e^−60 in magnitude, and the "
        "variance is made by products too rare to be met. It is the sum over the many paths of a wide "
        "network that keeps a signal.",
        (_SHOWN, "R12.2"),
    ),
    Erratum(
        "R12",
        "pueden evitar el problema de la explosión y la desaparición de parámetros",
        "Of gradients: the parameters neither explode nor vanish.",
        (f"{_BOOK}, 10.7", "R12.2"),
    ),
)
"""In the order of the notes."""
